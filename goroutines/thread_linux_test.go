package goroutines_test

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"concert"
	"concert/goroutines"
)

// TestLockOSThread: with LockOSThread, all tasks of a worker run on the same
// thread of the operating system, even if they wait.
func TestLockOSThread(t *testing.T) {
	ex := goroutines.New(1, &goroutines.Options{LockOSThread: true})
	defer ex.Close()
	thread := func(ctx context.Context, _ int) (int, error) {
		id := syscall.Gettid()
		if _, err := concert.Go(ctx, func(context.Context) (int, error) { return 0, nil }).Result(ctx); err != nil {
			return 0, err
		}
		if again := syscall.Gettid(); again != id {
			return 0, syscall.EINVAL
		}
		return id, nil
	}
	var ids []int
	for id, err := range concert.Map(t.Context(), ex, thread, slices.Values(make([]int, 100))) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if ids = slices.Compact(ids); len(ids) != 1 {
		t.Errorf("one worker ran on the threads %v", ids)
	}
}
