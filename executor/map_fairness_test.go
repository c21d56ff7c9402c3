package executor_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// TestMap_LetsOtherTasksRun: other tasks of the executor run between the items
// of a long Map.
func TestMap_LetsOtherTasksRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		item := func(context.Context, int) (int, error) {
			time.Sleep(time.Millisecond)
			return 0, nil
		}
		begin := time.Now()
		var other *concert.Future[time.Duration]
		n := 0
		for range concert.Map(t.Context(), pool, item, slices.Values(make([]int, 100))) {
			if n++; n == 10 {
				other = concert.Submit(t.Context(), pool, func(context.Context, time.Time) (time.Duration, error) {
					return time.Since(begin), nil
				}, begin)
			}
		}
		// Ten items take 10 ms. The eleventh may have begun.
		if at, err := other.Result(t.Context()); at > 12*time.Millisecond || err != nil {
			t.Errorf("a task was submitted after ten items. It ran at %v, error %v; want it to run before the other ninety items", at, err)
		}
	})
}

// TestMap_GoexitWakesLoop: if an item ends its goroutine, the loop receives the
// outcome of this item immediately, and not only when the Map runs its next
// item.
func TestMap_GoexitWakesLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		release := make(chan struct{})
		item := func(ctx context.Context, _ int) (int, error) {
			concert.Submit(ctx, pool, func(context.Context, int) (int, error) {
				<-release
				return 0, nil
			}, 0)
			time.Sleep(time.Second) // by then the loop sleeps
			runtime.Goexit()
			return 0, nil
		}
		// The inputs end after the result, so nothing else wakes the loop.
		inputs := func(yield func(int) bool) {
			yield(1)
			<-release
		}
		n := 0
		for _, err := range concert.Map(context.WithoutCancel(t.Context()), pool, item, inputs) {
			if n++; !errors.Is(err, concert.ErrGoexit) {
				t.Errorf("Map() of an item that ends its goroutine: %v", err)
			}
			close(release) // now the worker runs the other task
		}
		if n != 1 {
			t.Errorf("%d results, want 1", n)
		}
	})
}

// TestMap_ItemContextEnds: when the call of an item has returned and the Map
// waits for its next input, the context of the item has ended.
func TestMap_ItemContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		var left context.Context
		more := make(chan struct{})
		inputs := func(yield func(int) bool) {
			yield(1)
			<-more
		}
		item := func(ctx context.Context, _ int) (int, error) {
			left = ctx
			if err := ctx.Err(); err != nil {
				t.Errorf("the context of an item that runs: %v", err)
			}
			return 0, nil
		}
		for range concert.Map(t.Context(), pool, item, inputs) {
			synctest.Wait()
			if err := left.Err(); err != context.Canceled {
				t.Errorf("Err() of an item that has ended: %v", err)
			}
			select {
			case <-left.Done():
			default:
				t.Errorf("Done() of an item that has ended is not closed")
			}
			close(more)
		}
	})
}
