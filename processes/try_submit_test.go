package processes_test

import (
	"context"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// TestTrySubmit_LeavesNoWaiter: if TrySubmit refuses tasks, no waiting
// submitters may accumulate in the pool, even if calls of TrySubmit overlap.
func TestTrySubmit_LeavesNoWaiter(t *testing.T) {
	ctx := t.Context()
	ex, err := processes.New(1, &processes.Options{Queue: 2, Grace: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	defer ex.Shutdown(ended)

	for refused := 0; refused < 20; {
		if _, ok := concert.TrySubmit(ctx, ex, nap, time.Hour); !ok {
			refused++
			time.Sleep(time.Millisecond)
		}
	}
	tries := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for range 1000 {
				if _, ok := concert.TrySubmit(ctx, ex, nap, time.Hour); ok {
					n++
				}
			}
			tries <- n
		}()
	}
	for range 4 {
		if n := <-tries; n > 0 {
			t.Errorf("a full queue accepted %d tasks", n)
		}
	}
	if n := ex.Stats().Waiting; n != 0 {
		t.Errorf("%d waiters after all attempts, want 0", n)
	}
}
