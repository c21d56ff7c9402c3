package processes_test

import (
	"sync"
	"testing"

	"concert"
)

// TestPool_WorkerProcesses: WorkerProcesses must give the process of a
// worker the same number as the events of the worker's tasks.
func TestPool_WorkerProcesses(t *testing.T) {
	pool := newPool(t, 2, nil)
	var mu sync.Mutex
	last := -1 // guarded by mu: the worker of the last task
	defer pool.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskFinished {
			mu.Lock()
			defer mu.Unlock()
			last = e.Worker
		}
	})()
	for range 20 {
		pid, err := concert.Submit(t.Context(), pool, pidOf, 0).Result(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		number := last
		mu.Unlock()
		if all := pool.WorkerProcesses(); len(all) != 2 || all[number] != pid {
			t.Errorf("the workers are %v; worker %d has run a task in process %d", all, number, pid)
		}
	}
}
