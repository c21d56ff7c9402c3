package tour

import (
	"context"
	"runtime"
	"slices"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
)

// showGIL runs goroutines under a lock like CPython's.
func showGIL(ctx context.Context, t *tour) error {
	const tasks, size, wait = 4, 60_000_000, 50 * time.Millisecond
	sum := func(ctx context.Context, n int) (sum uint64, err error) {
		for i := range uint64(n) {
			sum += i * i
			if i%10_000 == 0 {
				gil.Checkpoint(ctx)
			}
		}
		return sum, nil
	}
	want, _ := sumOfSquares(ctx, size)
	nap := func(ctx context.Context, d time.Duration) (time.Duration, error) {
		gil.Release(ctx, func() { time.Sleep(d) }) // as the driver of a database would do
		return d, nil
	}

	lock := gil.New(nil)
	one := goroutines.New(1, nil)
	defer one.Close()
	under := goroutines.New(tasks, &goroutines.Options{Lock: lock})
	defer under.Close()
	free := goroutines.New(tasks, nil)
	defer free.Close()

	compute := func(ex concert.Executor) (time.Duration, error) {
		return took(ctx, ex, sum, slices.Repeat([]int{size}, tasks), func(got uint64) bool { return got == want })
	}
	inOrder, err := compute(one)
	if err != nil {
		return err
	}
	t.measured("4 sums, sequentially", inOrder, "")
	locked, err := compute(under)
	if err != nil {
		return err
	}
	t.compared("4 goroutines under the lock", inOrder, locked, noSpeedup, "one computes, as in Python")
	unlocked, err := compute(free)
	if err != nil {
		return err
	}
	t.compared("4 goroutines without it", inOrder, unlocked, onProcessors(runtime.GOMAXPROCS(0)), "all processors compute")
	naps := slices.Repeat([]time.Duration{wait}, tasks)
	slept := func(d time.Duration) bool { return d == wait }
	alone, err := took(ctx, one, nap, naps, slept)
	if err != nil {
		return err
	}
	t.measured("4 waits, sequentially", alone, "")
	all, err := took(ctx, under, nap, naps, slept)
	if err != nil {
		return err
	}
	t.compared("4 goroutines under the lock", alone, all, speedup, "waiting releases the lock")
	return nil
}
