package loop_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"concert/loop"
)

// TestLoop_OneCoroutineAtATime: between two awaits, no other coroutine may run.
// The race detector must find no race.
func TestLoop_OneCoroutineAtATime(t *testing.T) {
	counts := map[int]int{}
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for range 20 {
			g.Go(func(ctx context.Context) error {
				for i := range 100 {
					n := counts[i%7]
					runtime.Gosched()
					counts[i%7] = n + 1
					if err := loop.Yield(ctx); err != nil {
						return err
					}
				}
				return nil
			})
		}
		return nil
	})
	sum := 0
	for _, n := range counts {
		sum += n
	}
	if sum != 2000 {
		t.Errorf("the sum of 2,000 increments is %d", sum)
	}
}

// TestLoop_Order: coroutines must begin in the order in which they were
// started, and each Yield must let all other coroutines run once.
func TestLoop_Order(t *testing.T) {
	var got []string
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for _, name := range []string{"a", "b", "c"} {
			g.Go(func(ctx context.Context) error {
				for i := range 3 {
					got = append(got, fmt.Sprint(name, i))
					loop.Yield(ctx)
				}
				return nil
			})
		}
		got = append(got, "main")
		return nil
	})
	if want := []string{"main", "a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

// TestLoop_ReusesGoroutines: coroutines start other coroutines and end, so
// that the loop reuses goroutines. Each coroutine must run once.
func TestLoop_ReusesGoroutines(t *testing.T) {
	sum := 0
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var add func(depth int) func(ctx context.Context) error
		add = func(depth int) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				sum++
				if depth == 0 {
					return nil
				}
				return loop.WithGroup(ctx, func(ctx context.Context, inner *loop.Group) error {
					for i := range 3 {
						child := inner.Go(add(depth - 1))
						switch i {
						case 0:
							child.Wait(ctx)
						case 1:
							g.Go(add(0)) // in the group of another coroutine
						}
					}
					return nil
				})
			}
		}
		g.Go(add(6))
		return nil
	})
	if want := 1093 + 364; sum != want {
		t.Errorf("%d coroutines ran, want %d", sum, want)
	}
}

// TestOptions_Seed: the same seed must make the same order of execution.
// Different seeds must make different orders.
func TestOptions_Seed(t *testing.T) {
	trace := func(seed uint64) (trace string) {
		loop.Run(t.Context(), &loop.Options{Seed: seed}, func(ctx context.Context, g *loop.Group) error {
			q := loop.NewQueue[int](2)
			for i := range 5 {
				g.Go(func(ctx context.Context) error {
					for j := range 3 {
						trace += fmt.Sprint(i)
						q.Put(ctx, i)
						loop.Sleep(ctx, time.Duration(j))
						q.Get(ctx)
					}
					return nil
				})
			}
			return nil
		})
		return trace
	}
	different := map[string]bool{}
	for seed := range uint64(100) {
		a, b := trace(seed+1), trace(seed+1)
		if a != b {
			t.Errorf("seed %d: first order %s, second order %s", seed+1, a, b)
		}
		different[a] = true
	}
	if len(different) < 90 {
		t.Errorf("100 seeds made only %d different orders", len(different))
	}
}
