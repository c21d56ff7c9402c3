package executor

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// collector is an executor that keeps its tasks and runs none.
type collector struct{ tasks []*Task }

func (c *collector) Execute(_ context.Context, t *Task) error {
	c.tasks = append(c.tasks, t)
	return nil
}
func (*collector) Width() int                     { return 1 }
func (*collector) Stats() Stats                   { return Stats{} }
func (*collector) Watch(Observer) func()          { return func() {} }
func (*collector) Close() error                   { return nil }
func (*collector) Shutdown(context.Context) error { return nil }

func newTasks(n int) []*Task {
	var c collector
	for i := range n {
		Submit(context.Background(), &c, func(context.Context, int) (int, error) { return 0, nil }, i)
	}
	return c.tasks
}

// TestSegments_SameAsSlice: after random pushes, pops and compactions, the
// type segments contains the same tasks as a slice.
func TestSegments_SameAsSlice(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	tasks := newTasks(20_000)
	var q segments
	q.init()
	var slow []*Task
	for len(tasks) > 0 {
		switch n := random.IntN(400); random.IntN(4) {
		case 0, 1:
			for range min(n, len(tasks)) {
				q.pushLocked(tasks[0])
				slow = append(slow, tasks[0])
				tasks = tasks[1:]
			}
		case 2:
			for range n {
				got := q.pop()
				var want *Task
				if len(slow) > 0 {
					want, slow = slow[0], slow[1:]
				}
				if got != want {
					t.Fatalf("seed %d: pop() = %p, want %p", seed, got, want)
				}
			}
		case 3:
			drop := map[*Task]bool{}
			for _, s := range slow {
				drop[s] = random.IntN(3) == 0
			}
			keep := func(t *Task) bool { return !drop[t] }
			q.keepLocked(keep)
			var kept []*Task
			for _, s := range slow {
				if keep(s) {
					kept = append(kept, s)
				}
			}
			slow = kept
		}
		if q.lenLocked() != len(slow) {
			t.Fatalf("seed %d: len() = %d, want %d", seed, q.lenLocked(), len(slow))
		}
	}
}

// TestSegments_Concurrent: if one goroutine pushes and compacts while several
// others pop, each task is popped once, and each consumer pops its tasks in
// order.
func TestSegments_Concurrent(t *testing.T) {
	tasks := newTasks(100_000)
	number := make(map[*Task]int, len(tasks))
	for i, task := range tasks {
		number[task] = i
	}
	var q segments
	q.init()
	var mu sync.Mutex
	var pushed atomic.Bool
	seen := make([]atomic.Int32, len(tasks))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := -1
			for {
				over := pushed.Load()
				task := q.pop()
				if task == nil {
					mu.Lock() // as a worker does before it sleeps
					task = q.pop()
					mu.Unlock()
				}
				if task == nil {
					if over {
						return
					}
					continue
				}
				n := number[task]
				seen[n].Add(1)
				if n <= last {
					t.Errorf("task %d came after %d", n, last)
				}
				last = n
			}
		})
	}
	for i, task := range tasks {
		mu.Lock()
		q.pushLocked(task)
		if i%1000 == 999 {
			q.keepLocked(func(*Task) bool { return true })
		}
		mu.Unlock()
	}
	pushed.Store(true)
	wg.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("task %d was popped %d times", i, n)
		}
	}
}
