package loop_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
	"concert/internal/race"
	"concert/loop"
)

// TestBlock_ErrorAndPanic: Block must return the error of fn. If fn panics or
// calls Goexit, the coroutine must reenter the loop, and the panic or Goexit
// must continue there.
func TestBlock_ErrorAndPanic(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		if err := loop.Block(ctx, func() error { return errTest }); err != errTest {
			t.Errorf("Block() = %v", err)
		}
		if text := panics(func() { loop.Block(ctx, func() error { panic("boom") }) }); text != "boom" {
			t.Errorf("Block() with a function that panics: %s", text)
		}
		if err := loop.Yield(ctx); err != nil {
			t.Error(err)
		}
		for i := range 20 {
			g.Go(func(ctx context.Context) error {
				for range i {
					loop.Block(ctx, func() error { time.Sleep(time.Duration(i)); return nil })
				}
				return nil
			})
		}
		g.Go(func(ctx context.Context) error {
			return loop.Block(ctx, func() error { runtime.Goexit(); return nil })
		})
		return nil
	})
	if !errors.Is(err, concert.ErrGoexit) {
		t.Errorf("Run() = %v", err)
	}
}

// TestOffload_OtherCoroutinesRun: while a coroutine waits for an executor,
// other coroutines must run. This holds for all waits of package concert. If
// the context of the task ends, the task must be canceled.
func TestOffload_OtherCoroutinesRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := goroutines.New(2, nil)
		defer pool.Close()
		slow := func(ctx context.Context, n int) (int, error) {
			select {
			case <-time.After(time.Hour):
				return n * n, nil
			case <-ctx.Done():
				return -1, context.Cause(ctx)
			}
		}
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			ticks := 0
			g.Background(func(ctx context.Context) error {
				for loop.Sleep(ctx, time.Minute) == nil {
					ticks++
				}
				return nil
			})
			if v, err := loop.Offload(ctx, pool, slow, 7); v != 49 || err != nil || ticks < 59 {
				t.Errorf("Offload() = %d, %v; %d ticks in the meantime", v, err, ticks)
			}
			short, cancel := loop.WithTimeout(ctx, time.Minute)
			defer cancel()
			f := concert.Submit(short, pool, slow, 1)
			if _, err := f.Result(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Result() = %v", err)
			}
			if v, err := f.Result(ctx); v != -1 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Result() of the canceled task = %d, %v", v, err)
			}
			if _, err := loop.Offload(short, pool, slow, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Offload() in a context that has ended = %v", err)
			}
			ticks = 0
			var sum int
			for v, err := range concert.Map(ctx, pool, slow, slices.Values([]int{1, 2, 3})) {
				if sum += v; err != nil {
					return err
				}
			}
			if sum != 14 || ticks < 119 {
				t.Errorf("Map() has the sum %d; %d ticks in the meantime", sum, ticks)
			}
			futures := []*concert.Future[int]{concert.Submit(ctx, pool, slow, 1), concert.Submit(ctx, pool, slow, 2)}
			ticks = 0
			if vs, err := concert.Gather(ctx, futures...); !slices.Equal(vs, []int{1, 4}) || err != nil || ticks < 59 {
				t.Errorf("Gather() = %v, %v; %d ticks in the meantime", vs, err, ticks)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestOffload_Allocations: an Offload makes six allocations: one for the task,
// two to be notified of its end, and three to release the loop.
func TestOffload_Allocations(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector allocates")
	}
	pool := goroutines.New(1, nil)
	defer pool.Close()
	loop.Run(t.Context(), nil, func(ctx context.Context, _ *loop.Group) error {
		fewest := math.Inf(1)
		for range 5 { // other goroutines may allocate in the meantime
			fewest = min(fewest, testing.AllocsPerRun(100, func() {
				loop.Offload(ctx, pool, func(_ context.Context, n int) (int, error) { return n, nil }, 1)
			}))
		}
		if fewest > 6 {
			t.Errorf("an Offload made %v allocations, want 6", fewest)
		}
		return nil
	})
}
