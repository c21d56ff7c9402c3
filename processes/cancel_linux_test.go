package processes_test

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// progressLate starts a goroutine that reports progress after progressLate
// has returned.
var progressLate = concert.Register("processes_test.progressLate", func(ctx context.Context, d time.Duration) (int, error) {
	go func() {
		time.Sleep(d)
		concert.Progress(ctx, 1, 2)
	}()
	return 0, nil
})

// TestProgress_AfterEnd: if a goroutine of a function reports progress after
// the function has returned, this must not affect the next task.
func TestProgress_AfterEnd(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Observer: func(concert.Event) {}})
	if _, err := submit(t, p, progressLate, 10*time.Millisecond).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := submit(t, p, nap, 100*time.Millisecond).Result(t.Context()); err != nil {
		t.Errorf("the next task: %q, %v", got, err)
	}
}

// TestCancel_WhileSettling: if the pool is about to settle a task with its
// outcome, Cancel of this task must return false, even while the pool claims
// another task.
func TestCancel_WhileSettling(t *testing.T) {
	leftovers(t)
	var mu sync.Mutex
	finished := 0
	gates := []chan struct{}{make(chan struct{}), make(chan struct{})}
	at := make(chan int, 10)
	p := newPool(t, 1, &processes.Options{Observer: func(e concert.Event) {
		if e.Kind != concert.TaskFinished {
			return
		}
		mu.Lock()
		n := finished
		finished++
		mu.Unlock()
		if n < len(gates) {
			at <- n
			<-gates[n]
		}
	}})
	path := pathIn(t.TempDir(), "ran")
	submit(t, p, nap, 0)
	submit(t, p, nap, 50*time.Millisecond) // so that the first result is in a separate frame
	f := submit(t, p, marked, mark{path, 7, 0})
	submit(t, p, nap, 0) // the newest call; so the pool receives Started for this call, and not for f
	<-at
	eventually(t, "f has run", func() bool { b, _ := os.ReadFile(path); return string(b) == "b7\ne7\n" })
	time.Sleep(50 * time.Millisecond) // after this time, the result of f is in the pipe
	close(gates[0])
	<-at // now the pool has removed the call of f from the table of frames
	select {
	case <-encoding: // the value belongs to a slowArg of another test
	default:
	}
	submit(t, p, napSlowly, slowArg{Encode: 300 * time.Millisecond})
	<-encoding
	if f.Cancel() {
		t.Error("Cancel() = true for a task that has run")
	}
	close(gates[1])
	if got, err := f.Result(t.Context()); got != 7 || err != nil {
		t.Errorf("the result of f: %d, %v", got, err)
	}
}

// TestCancel_WhileClaiming: if the context of a call ends while the pool
// claims the call, no worker may run the call, not even an idle worker.
func TestCancel_WhileClaiming(t *testing.T) {
	leftovers(t)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		idle := make(chan struct{})
		p := newPool(t, 1, &processes.Options{Observer: func(e concert.Event) {
			if e.Kind == concert.TaskSubmitted && e.Name == "processes_test.marked" { // the pool is claiming the call
				cancel()
				<-idle
			}
		}})
		running := concert.Submit(ctx, p, awaitFile, pathIn(t.TempDir(), "never"))
		eventually(t, "the task runs", func() bool { return running.State() == concert.Running })
		go func() {
			running.Result(t.Context())
			close(idle)
		}()
		path := pathIn(t.TempDir(), "ran")
		for range concert.Map(ctx, p, marked, slices.Values([]mark{{path, 1, 0}})) {
		}
		p.Close()
		if _, err := os.Stat(path); err == nil {
			t.Fatal("a call ran although its context had ended before the pool sent it to the worker")
		}
	}
}
