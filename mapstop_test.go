package concert_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// lateExecutor passes a task on after an event.
type lateExecutor struct {
	concert.Executor
	event func()
}

// Execute waits until the event has had its effect in the bubble.
func (e lateExecutor) Execute(_ context.Context, t *concert.Task) error {
	e.event()
	synctest.Wait()
	return e.Executor.Execute(context.Background(), t)
}

// TestMap_StopWhileStarting: a Map that ends while one of its tasks is on the
// way to the executor does not wait for a worker to take that task.
func TestMap_StopWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(1, nil)
		defer pool.Close()
		release := make(chan struct{})
		held := concert.Submit(t.Context(), pool, func(context.Context, int) (int, error) {
			<-release
			return 0, nil
		}, 0)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		for _, err := range concert.Map(ctx, lateExecutor{pool, cancel}, double, slices.Values([]int{1, 2, 3})) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Map() with a canceled context: %v", err)
			}
		}
		close(release)
		held.Result(t.Context())
	})
}

// TestMap_ShutdownWithInputsLeft: a Map whose executor is shut down ends with
// ErrClosed if inputs are left, also if it had run all that it had taken so far.
func TestMap_ShutdownWithInputsLeft(t *testing.T) {
	const last = 4 // the last input that the Map takes while the loop is at the first result
	for name, mapOf := range map[string]func(context.Context, concert.Executor, func(context.Context, int) (int, error), iter.Seq[int]) iter.Seq2[int, error]{
		"Map": concert.Map[int, int], "MapUnordered": concert.MapUnordered[int, int],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := goroutines.New(1, nil)
				blocked, release := make(chan struct{}), make(chan struct{})
				fn := func(_ context.Context, n int) (int, error) {
					time.Sleep(time.Millisecond) // a Map of slow calls takes few inputs ahead
					if n == last {
						close(blocked)
						<-release
					}
					return n, nil
				}
				ended, cancel := context.WithCancel(t.Context())
				cancel()
				n, err := 0, error(nil)
				for _, err = range mapOf(t.Context(), pool, fn, forever) {
					if n++; n > 1 {
						continue
					}
					<-blocked
					synctest.Wait()
					go pool.Shutdown(ended)
					synctest.Wait()
					close(release)
				}
				if !errors.Is(err, concert.ErrClosed) {
					t.Errorf("a Map of endless inputs ended after %d results with %v, want ErrClosed", n, err)
				}
				pool.Close()
			})
		})
	}
}

func forever(yield func(int) bool) {
	for n := 0; yield(n); n++ {
	}
}

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }
