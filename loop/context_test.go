package loop_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert/loop"
)

// TestWithTimeout_Nested: if two timeouts are nested, the earlier one must end
// the wait.
func TestWithTimeout_Nested(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for _, d := range []struct{ outer, inner time.Duration }{{1, 2}, {2, 1}, {1, 1}} {
			outer, cancelOuter := loop.WithTimeout(ctx, d.outer*time.Second)
			inner, cancelInner := loop.WithTimeout(outer, d.inner*time.Second)
			start := time.Now()
			if at, ok := inner.Deadline(); !ok || !at.Equal(start.Add(min(d.outer, d.inner)*time.Second)) {
				t.Errorf("outer %d s, inner %d s: Deadline() = %v, %v", d.outer, d.inner, at, ok)
			}
			err := loop.Sleep(inner, time.Hour)
			if took := time.Since(start); err != context.DeadlineExceeded || took != min(d.outer, d.inner)*time.Second {
				t.Errorf("outer %d s, inner %d s: %v after %v", d.outer, d.inner, err, took)
			}
			if ended := outer.Err() != nil; ended != (d.outer <= d.inner) || inner.Err() != context.DeadlineExceeded || ctx.Err() != nil {
				t.Errorf("outer %d s, inner %d s: outer has ended: %v; inner.Err() = %v, ctx.Err() = %v", d.outer, d.inner, ended, inner.Err(), ctx.Err())
			}
			cancelInner()
			cancelOuter()
			if inner.Err() != context.DeadlineExceeded {
				t.Errorf("after cancel: inner.Err() = %v", inner.Err())
			}
		}
		return loop.Sleep(ctx, time.Hour) // no timer of the contexts above this one may end the Sleep
	})
}

// TestWait_CompletionBeforeCancel: first an event happens, and then, in the
// same step, the context ends. The wait for the event must succeed. The next
// await must fail. (In CPython #86296, wait_for swallowed the cancellation.)
func TestWait_CompletionBeforeCancel(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for _, setFirst := range []bool{true, false} {
			var e loop.Event
			var cancel context.CancelCauseFunc
			first, second := error(nil), error(nil)
			waiter := g.Go(func(ctx context.Context) error {
				mine, stop := loop.WithCancel(ctx)
				defer stop(nil)
				cancel = stop
				first = e.Wait(mine)
				second = loop.Yield(mine)
				return nil
			})
			loop.Yield(ctx)
			loop.Yield(ctx)
			if setFirst {
				e.Set()
				cancel(errTest)
			} else {
				cancel(errTest)
				e.Set()
			}
			waiter.Wait(ctx)
			if (first == nil) != setFirst || second != errTest {
				t.Errorf("event before cancel: %v; the wait returned %v, the next one %v", setFirst, first, second)
			}
		}
		return nil
	})
}

// TestContext_Done: the context of a coroutine must work for other packages,
// whether they call Done before the context ends or after.
func TestContext_Done(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stale context.Context
		ended := make(chan error, 1)
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			before, cancelBefore := loop.WithCancel(ctx)
			go func() {
				<-before.Done()
				ended <- context.Cause(before)
			}()
			after, cancelAfter := loop.WithCancel(ctx)
			for cancel := range map[*context.CancelCauseFunc]bool{&cancelBefore: true, &cancelAfter: true} {
				(*cancel)(errTest)
				(*cancel)(errors.New("too late"))
			}
			<-after.Done()
			if err := <-ended; err != errTest || context.Cause(after) != errTest || after.Err() != context.Canceled {
				t.Errorf("cause with Done called before the end: %v; after: %v; Err() = %v", err, context.Cause(after), after.Err())
			}
			return g.Go(func(ctx context.Context) error { stale = ctx; return nil }).Wait(ctx)
		})
		<-stale.Done()
		if err != nil || stale.Err() != context.Canceled {
			t.Errorf("Run() = %v; Err() of the context of a coroutine that has returned = %v", err, stale.Err())
		}
	})
}

// TestWithCancel_OtherGoroutine: any goroutine may call a cancel function, even
// if the loop is idle or has ended.
func TestWithCancel_OtherGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late context.CancelCauseFunc
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Background(sleeps(1<<62, nil)) // prevents a deadlock
			inner, cancel := loop.WithCancel(ctx)
			late = cancel
			time.AfterFunc(time.Hour, func() { cancel(errTest) })
			var e loop.Event
			if err := e.Wait(inner); err != errTest {
				t.Errorf("Wait() = %v", err)
			}
			return nil
		})
		late(nil)
		if err != nil {
			t.Error(err)
		}
	})
}

// TestWithTimeout_ReleasesTimers: after the cancel function of a context was
// called, no timer of the context may remain. If cancel was not called, no
// timer may remain after the end of the coroutine.
func TestWithTimeout_ReleasesTimers(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error {
			loop.WithTimeout(ctx, 1<<62) // without a call of cancel
			return nil
		})
		for range 1000 {
			_, cancel := loop.WithTimeout(ctx, time.Hour)
			cancel()
		}
		loop.Yield(ctx)
		if n := loop.Pending(ctx); n != 0 {
			t.Errorf("%d timers remain", n)
		}
		return nil
	})
}

// endsNow returns a context that another goroutine is about to cancel with
// errTest.
func endsNow(ctx context.Context) context.Context {
	inner, cancel := loop.WithCancel(ctx)
	var started atomic.Bool
	go func() {
		started.Store(true)
		cancel(errTest)
	}()
	for !started.Load() {
	}
	return inner
}

// TestWithCancel_RacesWait: if the context of a wait ends just when the wait
// begins, the wait must end.
func TestWithCancel_RacesWait(t *testing.T) {
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Background(sleeps(20*time.Second, errors.New("a wait did not end with its context")))
		for range 20000 {
			inner := endsNow(ctx)
			if err := new(loop.Event).Wait(inner); err != errTest {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestContext_ErrAfterDone: if Done is closed, Err must not be nil.
func TestContext_ErrAfterDone(t *testing.T) {
	for range 100 {
		outer, end := context.WithCancel(t.Context())
		loop.Run(outer, nil, func(ctx context.Context, g *loop.Group) error {
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return loop.WithGroup(derived, func(inner context.Context, g *loop.Group) error {
				return loop.Block(inner, func() error {
					end()
					for _, ctx := range []context.Context{inner, ctx} {
						<-ctx.Done()
						if ctx.Err() == nil {
							t.Error("Done is closed, and Err is nil")
						}
						_, cancel := context.WithCancel(ctx) // panics if Err is nil
						cancel()
					}
					return nil
				})
			})
		})
	}
}
