package loop_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
)

// TestPortal: other goroutines run functions in the loop, one at a time with
// its coroutines.
func TestPortal(t *testing.T) {
	n := 0
	p := loop.Open(t.Context(), nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if err := p.Run(t.Context(), func(ctx context.Context) error {
					before := n
					err := loop.Yield(ctx)
					if before > n {
						return errTest
					}
					n++
					return err
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := p.Run(t.Context(), func(ctx context.Context) error {
		// In the loop already, it is just called.
		return p.Run(ctx, func(ctx context.Context) error { return errTest })
	}); err != errTest {
		t.Errorf("Run() in Run() = %v", err)
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	if err := p.Run(t.Context(), func(context.Context) error { return nil }); n != 800 || err != loop.ErrClosed {
		t.Errorf("%d turns; Run() after Close() = %v", n, err)
	}
	if text := panics(func() { p.Run(t.Context(), nil) }); !strings.HasPrefix(text, "loop: Portal.Run") {
		t.Errorf("Run() without a function: %s", text)
	}
}

// TestPortalEnds: contexts of those inside end with the one that they brought
// and with the group, and their errors are nobody else's. A panic goes on in
// the caller.
func TestPortalEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := loop.Open(ctx, nil)
		sleep := func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) }
		short, stop := context.WithTimeout(context.WithValue(t.Context(), testKey{}, 7), time.Minute)
		defer stop()
		err := p.Run(short, func(ctx context.Context) error {
			if v := ctx.Value(testKey{}); v != 7 {
				t.Errorf("its value is %v", v)
			}
			return sleep(ctx)
		})
		if err != context.DeadlineExceeded {
			t.Errorf("Run() with a deadline = %v", err)
		}
		if err := p.Run(short, sleep); err != context.DeadlineExceeded {
			t.Errorf("Run() after its deadline = %v", err)
		}
		if text := panics(func() { p.Run(t.Context(), func(context.Context) error { panic("boom") }) }); text != "boom" {
			t.Errorf("a panic inside: %s", text)
		}
		inside := concert.Go(t.Context(), func(ctx context.Context) (int, error) { return 0, p.Run(ctx, sleep) })
		synctest.Wait()
		cancel(errTest)
		if _, err := inside.Result(t.Context()); err != errTest {
			t.Errorf("Run() when the loop ends = %v", err)
		}
		if err := p.Close(); err != errTest {
			t.Errorf("Close() of a loop that was canceled = %v", err)
		}
	})
}

// TestPortalOfGroup: a group waits for its portal to be closed, and for those
// who are inside then.
func TestPortalOfGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			p := g.Portal()
			go func() {
				time.Sleep(time.Hour)
				go p.Run(context.Background(), func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
				synctest.Wait()
				p.Close()
			}()
			return nil
		})
		if took := time.Since(start); err != nil || took != 2*time.Hour {
			t.Errorf("Run() = %v after %v", err, took)
		}
		// One that closes before anything has run, and one of a group that
		// never came so far.
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Portal().Close()
			var late *loop.Portal
			loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
				late = g.Portal()
				return errTest
			})
			if err := loop.Block(ctx, func() error { return late.Run(ctx, func(context.Context) error { return nil }) }); err != loop.ErrClosed {
				t.Errorf("Run() by the portal of a group that has ended = %v", err)
			}
			return nil
		})
	})
}

// TestExecutor: with a portal as its lock a pool's tasks are coroutines:
// Submit, Map and futures reach into the loop.
func TestExecutor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := loop.Open(t.Context(), nil)
		pool := goroutines.New(100, &goroutines.Options{Lock: p})
		counts := map[int]int{} // without a lock
		count := func(ctx context.Context, n int) (int, error) {
			before := counts[n%3]
			counts[n%3]++
			if err := loop.Sleep(ctx, time.Second); err != nil {
				return 0, err
			}
			return before, nil
		}
		start := time.Now()
		var got []int
		for v, err := range concert.Map(t.Context(), pool, count, slices.Values([]int{0, 1, 2, 3, 4, 5})) {
			if err != nil {
				t.Error(err)
			}
			got = append(got, v)
		}
		slices.Sort(got) // the tasks come into the loop in any order
		if want := []int{0, 0, 0, 1, 1, 1}; !slices.Equal(got, want) || time.Since(start) != time.Second {
			t.Errorf("Map() = %v after %v", got, time.Since(start))
		}
		// A coroutine awaits what its own pool runs in its own loop.
		sum, err := concert.Submit(t.Context(), pool, func(ctx context.Context, n int) (int, error) {
			v, err := concert.Submit(ctx, pool, count, 0).Result(ctx)
			return v + n, err
		}, 10).Result(t.Context())
		if sum != 12 || err != nil {
			t.Errorf("the task of a task: %d, %v", sum, err)
		}
		f := concert.Submit(t.Context(), pool, func(ctx context.Context, n int) (int, error) { return 0, loop.Sleep(ctx, time.Hour) }, 0)
		synctest.Wait()
		if f.Cancel(); f.State() != concert.Running {
			t.Errorf("after Cancel it is %v", f.State())
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
			t.Errorf("Result() after Cancel = %v", err)
		}
		_, err = concert.Submit(t.Context(), pool, func(context.Context, int) (int, error) { panic("boom") }, 0).Result(t.Context())
		if _, ok := errors.AsType[*concert.PanicError](err); !ok {
			t.Errorf("a panic: %v", err)
		}
		pool.Close()
		p.Close()
	})
}

// TestOffload: while an executor works other coroutines run; a canceled wait
// cancels the task. All waits of package concert let the loop go on.
func TestOffload(t *testing.T) {
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
				t.Errorf("Offload() = %d, %v; meanwhile %d ticks", v, err, ticks)
			}
			short, cancel := loop.WithTimeout(ctx, time.Minute)
			defer cancel()
			f := concert.Submit(short, pool, slow, 1)
			if _, err := f.Result(short); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Result() = %v", err)
			}
			if v, err := f.Result(ctx); v != -1 || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the task returned %d, %v", v, err)
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
				t.Errorf("Map() adds up to %d; meanwhile %d ticks", sum, ticks)
			}
			futures := []*concert.Future[int]{concert.Submit(ctx, pool, slow, 1), concert.Submit(ctx, pool, slow, 2)}
			ticks = 0
			if vs, err := concert.Gather(ctx, futures...); !slices.Equal(vs, []int{1, 4}) || err != nil || ticks < 59 {
				t.Errorf("Gather() = %v, %v; meanwhile %d ticks", vs, err, ticks)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestBlock: what fn does is passed on, a panic and a Goexit too, with the
// coroutine back in the loop.
func TestBlock(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		if err := loop.Block(ctx, func() error { return errTest }); err != errTest {
			t.Errorf("Block() = %v", err)
		}
		if text := panics(func() { loop.Block(ctx, func() error { panic("boom") }) }); text != "boom" {
			t.Errorf("a panic in Block: %s", text)
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

// TestSeeds: the same seed makes the same interleaving, others make others.
func TestSeeds(t *testing.T) {
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
			t.Errorf("seed %d: %s and %s", seed+1, a, b)
		}
		different[a] = true
	}
	if len(different) < 90 {
		t.Errorf("100 seeds made %d interleavings", len(different))
	}
}

// TestVirtual: the time jumps when all sleep, and stands still while one is in
// Block.
func TestVirtual(t *testing.T) {
	real := time.Now()
	err := loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		start := loop.Now(ctx)
		g.Background(func(ctx context.Context) error {
			for loop.Sleep(ctx, 24*time.Hour) == nil {
			}
			return nil
		})
		loop.Sleep(ctx, 1000*24*time.Hour)
		if now := loop.Now(ctx); now.Sub(start) != 1000*24*time.Hour {
			t.Errorf("after 1,000 days it is %v, it was %v", now, start)
		}
		before := loop.Now(ctx)
		loop.Block(ctx, func() error { time.Sleep(time.Millisecond); return nil })
		if now := loop.Now(ctx); now != before {
			t.Errorf("in Block the time went on by %v", now.Sub(before))
		}
		return nil
	})
	if err != nil || time.Since(real) > time.Hour {
		t.Errorf("%v after %v", err, time.Since(real))
	}
}
