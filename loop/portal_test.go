package loop_test

import (
	"context"
	"errors"
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

// TestPortal_Run: if other goroutines run functions in the loop, only one
// function at a time may run.
func TestPortal_Run(t *testing.T) {
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
		// In a coroutine of the loop, Run calls the function directly.
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

// TestPortal_ContextEnds: the context of a function must end when the context
// of its caller ends, and when the context of the group ends. An error must not
// affect other coroutines. A panic must continue in the caller.
func TestPortal_ContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := loop.Open(ctx, nil)
		sleep := func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) }
		short, stop := context.WithTimeout(context.WithValue(t.Context(), testKey{}, 7), time.Minute)
		defer stop()
		err := p.Run(short, func(ctx context.Context) error {
			if v := ctx.Value(testKey{}); v != 7 {
				t.Errorf("value in the context: %v", v)
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
			t.Errorf("panic in the function: %s", text)
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

// TestPortal_GroupWaits: a group must wait until its portal is closed, and
// until the coroutines that have entered have ended.
func TestPortal_GroupWaits(t *testing.T) {
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
		// A portal may be closed before its coroutine runs, and its group may
		// end before that, too.
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

// TestPortal_AsLock: if a portal is the lock of a pool, the tasks of the pool
// must be coroutines, and Submit, Map and futures must work.
func TestPortal_AsLock(t *testing.T) {
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
		slices.Sort(got) // the tasks enter the loop in any order
		if want := []int{0, 0, 0, 1, 1, 1}; !slices.Equal(got, want) || time.Since(start) != time.Second {
			t.Errorf("Map() = %v after %v", got, time.Since(start))
		}
		// A task awaits another task of the same pool, in the same loop.
		sum, err := concert.Submit(t.Context(), pool, func(ctx context.Context, n int) (int, error) {
			v, err := concert.Submit(ctx, pool, count, 0).Result(ctx)
			return v + n, err
		}, 10).Result(t.Context())
		if sum != 12 || err != nil {
			t.Errorf("Result() of a task that awaits a task = %d, %v", sum, err)
		}
		f := concert.Submit(t.Context(), pool, func(ctx context.Context, n int) (int, error) { return 0, loop.Sleep(ctx, time.Hour) }, 0)
		synctest.Wait()
		if f.Cancel(); f.State() != concert.Running {
			t.Errorf("State() after Cancel = %v", f.State())
		}
		if _, err := f.Result(t.Context()); !errors.Is(err, concert.ErrCanceled) {
			t.Errorf("Result() after Cancel = %v", err)
		}
		_, err = concert.Submit(t.Context(), pool, func(context.Context, int) (int, error) { panic("boom") }, 0).Result(t.Context())
		if _, ok := errors.AsType[*concert.PanicError](err); !ok {
			t.Errorf("Result() of a task that panicked = %v", err)
		}
		pool.Close()
		p.Close()
	})
}

// TestPortal_CloseDuringWait: if the portal is closed while a goroutine waits
// to enter the loop, the goroutine must not enter.
func TestPortal_CloseDuringWait(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		result := make(chan error, 1)
		go func() {
			result <- p.Run(context.Background(), func(context.Context) error { t.Error("the function ran after Close"); return nil })
		}()
		go func() {
			synctest.Wait() // until Run waits to enter: the coroutine holds the loop
			p.Close()
			result <- errTest
		}()
		if err := <-result; err != errTest {
			t.Errorf("Run() returned before Close: %v", err)
		}
		return loop.Block(ctx, func() error {
			if err := <-result; err != loop.ErrClosed {
				t.Errorf("Run() = %v", err)
			}
			return nil
		})
	})
}

// TestPortal_Misuse: Open must panic if it is called in a coroutine, or with
// a nil context. A closed portal must refuse even coroutines of its own
// loop.
func TestPortal_Misuse(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		if text := panics(func() { loop.Open(ctx, nil) }); !strings.Contains(text, "Open called in coroutine") {
			t.Errorf("Open in a coroutine: %s", text)
		}
		p := g.Portal()
		p.Close()
		if err := p.Run(ctx, nothing); err != loop.ErrClosed {
			t.Errorf("Run in the loop of a portal that is closed = %v", err)
		}
		return nil
	})
	var none context.Context
	if text := panics(func() { loop.Open(none, nil) }); !strings.Contains(text, "nil context") {
		t.Errorf("Open without a context: %s", text)
	}
}

// TestPortal_ExternalCoroutine: a coroutine of Portal.Run must be in the tree
// while it waits to enter. Another coroutine must be able to wait for the end
// of this coroutine, even if its function panicked.
func TestPortal_ExternalCoroutine(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		var external *loop.Task
		entered := make(chan any, 1)
		go func() {
			defer func() { entered <- recover() }()
			p.Run(context.Background(), func(ctx context.Context) error {
				external = loop.Current(ctx)
				panic("boom")
			})
		}()
		tree := make(chan string, 1)
		l := loop.Of(ctx)
		go func() {
			synctest.Wait() // until Run waits to enter: the coroutine holds the loop
			tree <- l.Tree()
		}()
		if tree := <-tree; !strings.Contains(tree, "TestPortal_ExternalCoroutine.func1.1.") || !strings.HasPrefix(tree, "loop: 3 coroutines\n") {
			t.Errorf("the tree:\n%s", tree)
		}
		loop.Block(ctx, func() error {
			if v := <-entered; v != "boom" {
				t.Errorf("panic in the caller of Portal.Run: %v", v)
			}
			return nil
		})
		if err := external.Wait(ctx); err == nil {
			t.Error("Wait() for a coroutine that panicked = nil")
		}
		return p.Close()
	})
}

// TestPortal_ContextOfEndedGroup: if Portal.Run was called with the context
// of a group, and the group ends, the coroutine must end.
func TestPortal_ContextOfEndedGroup(t *testing.T) {
	virtually(t, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		result := make(chan error, 1)
		loop.WithGroup(ctx, func(inner context.Context, _ *loop.Group) error {
			return loop.Block(inner, func() error {
				in := make(chan struct{})
				go func() {
					result <- p.Run(inner, func(ctx context.Context) error {
						close(in)
						return loop.Sleep(ctx, time.Hour)
					})
				}()
				<-in
				return nil
			})
		})
		loop.Sleep(ctx, 2*time.Hour)
		if err := <-result; err == nil {
			t.Error("the coroutine slept for an hour after its group ended")
		}
		return p.Close()
	})
}
