package gil_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/gil"
	"concert/goroutines"
)

// TestPool_OneHolder: if a pool has a lock, only one task at a time may
// compute, but all tasks may block at the same time.
func TestPool_OneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		ex := goroutines.New(4, &goroutines.Options{Lock: gil.New(nil)})
		defer ex.Close()
		inside, most := 0, 0
		computes := func(ctx context.Context, _ int) (int, error) {
			for range 10 {
				inside++
				most = max(most, inside)
				time.Sleep(time.Millisecond)
				inside--
				gil.Checkpoint(ctx)
			}
			return 0, nil
		}
		waits := func(ctx context.Context, _ int) (int, error) {
			gil.Release(ctx, func() { time.Sleep(time.Second) })
			return 0, nil
		}
		for what, c := range map[string]struct {
			fn   func(context.Context, int) (int, error)
			want time.Duration
		}{"computing": {computes, 40 * time.Millisecond}, "waiting": {waits, time.Second}} {
			begin := time.Now()
			for _, err := range concert.Map(ctx, ex, c.fn, slices.Values([]int{1, 2, 3, 4})) {
				if err != nil {
					t.Error(err)
				}
			}
			if took := time.Since(begin); took != c.want {
				t.Errorf("four tasks %s took %v, want %v", what, took, c.want)
			}
		}
		if most != 1 {
			t.Errorf("%d tasks computed at a time", most)
		}
	})
}

// TestWait_ReleasesLock: if a task waits for another task, in any way, it must
// release the lock.
func TestWait_ReleasesLock(t *testing.T) {
	lock := gil.New(nil)
	ex := goroutines.New(2, &goroutines.Options{Queue: 1, Lock: lock})
	defer ex.Close()
	one := func(context.Context, int) (int, error) { return 1, nil }
	flaky := func() func(context.Context, int) (int, error) {
		var calls atomic.Int64
		return concert.Retry(func(ctx context.Context, _ int) (int, error) {
			if calls.Add(1) == 1 {
				return 0, context.DeadlineExceeded
			}
			return concert.Submit(ctx, ex, one, 0).Result(ctx)
		}, &concert.RetryOptions{Delay: time.Millisecond, If: func(error) bool { return true }})
	}
	for what, fn := range map[string]func(context.Context, int) (int, error){
		"Result": func(ctx context.Context, _ int) (int, error) {
			return concert.Submit(ctx, ex, one, 0).Result(ctx)
		},
		"Gather": func(ctx context.Context, _ int) (int, error) {
			var futures []*concert.Future[int]
			for range 10 { // more than the queue has room for
				futures = append(futures, concert.Submit(ctx, ex, one, 0))
			}
			all, err := concert.Gather(ctx, futures...)
			return len(all), err
		},
		"AsCompleted": func(ctx context.Context, _ int) (n int, err error) {
			for f := range concert.AsCompleted(ctx, concert.Submit(ctx, ex, one, 0), concert.Submit(ctx, ex, one, 0)) {
				n, err = f.Result(ctx)
			}
			return n, err
		},
		"Map": func(ctx context.Context, _ int) (n int, err error) {
			for range concert.Map(ctx, ex, one, slices.Values([]int{1, 2, 3})) {
				n++
				break
			}
			return n, nil
		},
		"Retry": flaky(),
		"a wait inside of Release": func(ctx context.Context, _ int) (n int, err error) {
			gil.Release(ctx, func() { n, err = concert.Submit(ctx, ex, one, 0).Result(ctx) })
			gil.Checkpoint(ctx)
			return n, err
		},
		"another pool": func(ctx context.Context, _ int) (int, error) {
			other := goroutines.New(1, nil)
			defer other.Close()
			return concert.Submit(ctx, other, func(ctx context.Context, _ int) (int, error) {
				if _, ok := gil.Of(ctx); ok {
					t.Error("a task has the lock of the task that submitted it")
				}
				n := 0
				gil.Release(ctx, func() { n++ }) // only calls the function, because ctx has no lock
				return n, lock.Run(ctx, func(context.Context) error { return nil })
			}, 0).Result(ctx)
		},
	} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			if n, err := concert.Submit(ctx, ex, fn, 0).Result(ctx); n == 0 || err != nil {
				t.Errorf("%s: %d, %v", what, n, err)
			}
			// Call the same function without a pool.
			if err := lock.Run(ctx, func(ctx context.Context) error {
				_, err := fn(ctx, 0)
				return err
			}); err != nil {
				t.Errorf("%s, in Run: %v", what, err)
			}
			cancel()
		})
	}
}
