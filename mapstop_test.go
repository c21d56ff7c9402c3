package concert_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

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

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }
