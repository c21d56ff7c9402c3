package loop_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"concert/loop"
)

// TestNestedTimeouts: the scope that expires is the one whose time is over,
// whatever is inside or outside of it.
func TestNestedTimeouts(t *testing.T) {
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
				t.Errorf("outer %d s, inner %d s: the outer one has ended: %v; %v, %v", d.outer, d.inner, ended, inner.Err(), ctx.Err())
			}
			cancelInner()
			cancelOuter()
			if inner.Err() != context.DeadlineExceeded {
				t.Errorf("after its cancel the inner one has %v", inner.Err())
			}
		}
		return loop.Sleep(ctx, time.Hour) // nothing is left of them
	})
}

// TestLevelTriggered: in a scope that has ended each await fails, and lets
// others run.
func TestLevelTriggered(t *testing.T) {
	others := 0
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			for loop.Yield(ctx) == nil {
				others++
			}
			return nil
		})
		loop.Yield(ctx)
		inner, cancel := loop.WithCancel(ctx)
		cancel(errTest)
		var e loop.Event
		e.Set()
		var m loop.Mutex
		q := loop.NewQueue[int](0)
		q.TryPut(1)
		task := g.Go(func(context.Context) error { return nil })
		for name, await := range map[string]func() error{
			"Yield":     func() error { return loop.Yield(inner) },
			"Sleep":     func() error { return loop.Sleep(inner, 0) },
			"Event":     func() error { return e.Wait(inner) },
			"Mutex":     func() error { return m.Lock(inner) },
			"Semaphore": func() error { return loop.NewSemaphore(1).Acquire(inner) },
			"Put":       func() error { return q.Put(inner, 1) },
			"Get":       func() error { _, err := q.Get(inner); return err },
			"Cond":      func() error { return new(loop.Cond).Wait(inner) },
			"Task":      func() error { return task.Wait(inner) },
			"Block":     func() error { return loop.Block(inner, func() error { t.Error("it ran"); return nil }) },
			"Dial":      func() error { _, err := loop.Dial(inner, "tcp", "127.0.0.1:1"); return err },
		} {
			before := others
			if err := await(); err != errTest && name != "Task" { // which had ended by then, or not
				t.Errorf("%s in a scope that has ended: %v", name, err)
			}
			if others == before && name != "Task" {
				t.Errorf("%s let nobody run", name)
			}
		}
		if err := m.Lock(ctx); err != nil || q.Len() != 1 {
			t.Errorf("afterwards: Lock() = %v, %d items", err, q.Len())
		}
		return nil
	})
}

// TestCompletionWins: what has happened before the end of the context, in the
// same instant, has happened; the next await fails (CPython #86296: wait_for
// swallowed the cancellation).
func TestCompletionWins(t *testing.T) {
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
				t.Errorf("set first: %v; the wait: %v, the next one: %v", setFirst, first, second)
			}
		}
		return nil
	})
}

// TestContextOfContext: contexts that package context makes of a coroutine's
// end its waits, too.
func TestContextOfContext(t *testing.T) {
	type key struct{}
	ok(t, func(ctx context.Context, g *loop.Group) error {
		valued := context.WithValue(ctx, key{}, 1)
		if err := loop.Sleep(valued, time.Second); err != nil {
			t.Errorf("WithValue: %v", err)
		}
		short, cancel := context.WithTimeout(valued, time.Second)
		defer cancel()
		for range 2 {
			if err := loop.Sleep(short, time.Hour); err != context.DeadlineExceeded {
				t.Errorf("WithTimeout of package context: %v", err)
			}
		}
		free := context.WithoutCancel(short)
		if err := loop.Sleep(free, time.Second); err != nil {
			t.Errorf("WithoutCancel: %v", err)
		}
		below, stop := loop.WithTimeout(free, time.Minute)
		defer stop()
		if err := loop.Sleep(below, time.Hour); err != context.DeadlineExceeded {
			t.Errorf("a timeout of ours below WithoutCancel: %v", err)
		}
		ours, stop2 := loop.WithCancel(valued)
		theirs, cancel2 := context.WithCancel(ours)
		defer cancel2()
		reuse, stop3 := loop.WithTimeout(theirs, time.Hour)
		defer stop3()
		g.After(time.Second, func(context.Context) error { stop2(errTest); return nil })
		if err := loop.Sleep(reuse, time.Hour); err != errTest || context.Cause(theirs) != errTest || reuse.Value(key{}) != 1 {
			t.Errorf("ours of theirs of ours: %v; its cause: %v", err, context.Cause(theirs))
		}
		return nil
	})
}

// TestDone: a coroutine's context is a context to others, whether they ask
// before it ends or after.
func TestDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stale context.Context
		heard := make(chan error, 1)
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			before, cancelBefore := loop.WithCancel(ctx)
			go func() {
				<-before.Done()
				heard <- context.Cause(before)
			}()
			after, cancelAfter := loop.WithCancel(ctx)
			for cancel := range map[*context.CancelCauseFunc]bool{&cancelBefore: true, &cancelAfter: true} {
				(*cancel)(errTest)
				(*cancel)(errors.New("too late"))
			}
			<-after.Done()
			if err := <-heard; err != errTest || context.Cause(after) != errTest || after.Err() != context.Canceled {
				t.Errorf("asked before: %v; after: %v, %v", err, context.Cause(after), after.Err())
			}
			return g.Go(func(ctx context.Context) error { stale = ctx; return nil }).Wait(ctx)
		})
		<-stale.Done()
		if err != nil || stale.Err() != context.Canceled {
			t.Errorf("Run() = %v; the context of one that has returned: %v", err, stale.Err())
		}
	})
}

// TestCancelFromOutside: a cancel function may be called from any goroutine,
// also when the loop is idle or gone.
func TestCancelFromOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late context.CancelCauseFunc
		err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			g.Background(sleeps(1<<62, nil)) // or it would be a deadlock
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

// TestScopesEnd: scopes that were left leave nothing behind, and one that was
// forgotten goes with its coroutine.
func TestScopesEnd(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error {
			loop.WithTimeout(ctx, 1<<62) // and no cancel
			return nil
		})
		for range 1000 {
			_, cancel := loop.WithTimeout(ctx, time.Hour)
			cancel()
		}
		loop.Yield(ctx)
		if n := loop.Pending(ctx); n != 0 {
			t.Errorf("%d timers are left", n)
		}
		return nil
	})
}
