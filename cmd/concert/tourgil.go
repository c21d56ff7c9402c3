package main

import (
	"context"
	"slices"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
)

// tourGIL has goroutines hold a lock like CPython's.
func tourGIL(ctx context.Context, t *tour) error {
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
		gil.Release(ctx, func() { time.Sleep(d) }) // as a driver of a database would
		return d, nil
	}

	lock := gil.New(nil)
	one := goroutines.New(1, nil)
	defer one.Close()
	under := goroutines.New(tasks, &goroutines.Options{Lock: lock})
	defer under.Close()
	free := goroutines.New(tasks, nil)
	defer free.Close()

	computed := func(what string, ex concert.Executor, note string) (time.Duration, error) {
		d, err := took(ctx, ex, sum, slices.Repeat([]int{size}, tasks), func(got uint64) bool { return got == want })
		if err == nil {
			t.measured(what, d, note)
		}
		return d, err
	}
	if _, err := computed("4 sums, one after another", one, ""); err != nil {
		return err
	}
	if _, err := computed("4 goroutines under the lock", under, "nothing gained, as in Python"); err != nil {
		return err
	}
	if _, err := computed("4 goroutines without it", free, "where nothing needs it"); err != nil {
		return err
	}
	naps := slices.Repeat([]time.Duration{wait}, tasks)
	slept := func(d time.Duration) bool { return d == wait }
	alone, err := took(ctx, one, nap, naps, slept)
	if err != nil {
		return err
	}
	t.measured("4 waits, one after another", alone, "")
	all, err := took(ctx, under, nap, naps, slept)
	if err != nil {
		return err
	}
	t.measured("4 goroutines under the lock", all, "who waits lets go of it")
	return nil
}
