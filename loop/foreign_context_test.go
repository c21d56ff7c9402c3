package loop_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"concert/loop"
)

// TestContextsOfOurs: what package context makes of a scope knows its cause,
// and ends as soon as it does.
func TestContextsOfOurs(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		cancel(errTest)
		if cause := context.Cause(inner); cause != errTest {
			t.Errorf("Cause() of one that nobody had asked for Done = %v", cause)
		}
		short, cancelShort := loop.WithTimeout(ctx, time.Second)
		defer cancelShort()
		derived, cancelDerived := context.WithCancel(short)
		defer cancelDerived()
		loop.Sleep(ctx, time.Minute)
		if short.Err() != context.DeadlineExceeded || context.Cause(derived) != context.DeadlineExceeded {
			t.Errorf("a timeout: %v; one made of it: %v", short.Err(), context.Cause(derived))
		}
		outer, cancelOuter := loop.WithCancel(ctx)
		between, cancelBetween := context.WithTimeout(outer, time.Hour)
		defer cancelBetween()
		loop.WithGroup(between, func(ctx context.Context, g *loop.Group) error {
			cancelOuter(errTest)
			if err := loop.NewQueue[int](0).Put(ctx, 1); err != errTest {
				t.Errorf("an await after the cancel: %v", err)
			}
			return nil
		})
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

// TestGroupOfContext: below a context of package context there is no deadlock,
// in real and in virtual time.
func TestGroupOfContext(t *testing.T) {
	waits := func(ctx context.Context, g *loop.Group) error { return new(loop.Event).Wait(ctx) }
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return loop.WithGroup(short, waits)
	})
	if err != context.DeadlineExceeded {
		t.Errorf("a timeout of package context: %v", err)
	}
	err = loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		g.Background(sleeps(time.Hour, nil))
		start := loop.Now(ctx)
		for range 2 {
			short, cancel := loop.WithTimeout(ctx, time.Second)
			derived, cancel2 := context.WithCancel(short)
			if err := loop.WithGroup(derived, waits); err != context.DeadlineExceeded {
				t.Errorf("a context of a virtual timeout, in a group: %v", err)
			}
			short, cancel3 := loop.WithTimeout(ctx, time.Second)
			derived, cancel4 := context.WithCancel(short)
			if err := new(loop.Event).Wait(derived); err != context.DeadlineExceeded {
				t.Errorf("a context of a virtual timeout: %v", err)
			}
			cancel()
			cancel2()
			cancel3()
			cancel4()
		}
		if took := loop.Now(ctx).Sub(start); took != 4*time.Second {
			t.Errorf("four timeouts of a second took %v", took)
		}
		past, cancel := loop.WithDeadline(ctx, start)
		defer cancel()
		if err := new(loop.Event).Wait(past); err != context.DeadlineExceeded || loop.Now(ctx).Sub(start) != 4*time.Second {
			t.Errorf("a deadline in the past: %v, and it is %v", err, loop.Now(ctx).Sub(start))
		}
		began := false
		g.After(0, func(context.Context) error { began = true; return nil })
		if loop.Yield(ctx); !began {
			t.Error("what was to begin at once did not")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// traced is a context whose methods use the loop.
type traced struct{ context.Context }

func (c traced) Err() error {
	_ = fmt.Sprint(loop.Of(c.Context).Tree())
	return c.Context.Err()
}

// TestForeignContext: the methods of contexts are not called with anything
// locked.
func TestForeignContext(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		return loop.WithGroup(traced{inner}, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return loop.Sleep(traced{ctx}, time.Second) })
			return loop.Sleep(traced{inner}, time.Second)
		})
	})
}

// TestGroupOfEnded: children of a group whose context package context has ended
// never begin.
func TestGroupOfEnded(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		derived, cancel := context.WithCancel(ctx)
		return loop.WithGroup(derived, func(_ context.Context, g *loop.Group) error {
			cancel()
			g.Go(func(context.Context) error { t.Error("it ran"); return nil })
			return nil
		})
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v", err)
	}
}

// virtually is run in virtual time of the loop's own.
func virtually(t *testing.T, main func(ctx context.Context, g *loop.Group) error) {
	t.Helper()
	if err := loop.Run(t.Context(), &loop.Options{Virtual: true}, main); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// TestLayers: a context of package context below one of the loop's, and so on,
// ends before virtual time goes on.
func TestLayers(t *testing.T) {
	virtually(t, func(ctx context.Context, g *loop.Group) error {
		var cancel context.CancelCauseFunc
		sleeper := g.Go(func(ctx context.Context) error {
			ctx, cancel = loop.WithCancel(ctx)
			for range 3 {
				derived, stop := context.WithCancel(ctx)
				defer stop()
				below, leave := loop.WithCancel(derived)
				defer leave(nil)
				ctx = below
			}
			derived, stop := context.WithCancel(ctx)
			defer stop()
			if err := loop.Sleep(derived, time.Hour); err != errTest {
				t.Errorf("Sleep() = %v", err)
			}
			return nil
		})
		loop.Yield(ctx)
		cancel(errTest)
		loop.Sleep(ctx, time.Hour)
		return sleeper.Wait(ctx)
	})
}

// TestOwnCancel: nor does it when a coroutine cancels a context of package
// context, in a group or without.
func TestOwnCancel(t *testing.T) {
	for range 100 {
		virtually(t, func(ctx context.Context, g *loop.Group) error {
			derived, cancel := context.WithCancelCause(ctx)
			sleeper := func(ctx context.Context) error {
				if err := loop.Sleep(ctx, time.Hour); err != errTest {
					t.Errorf("Sleep() = %v", err)
				}
				return nil
			}
			g.Go(func(ctx context.Context) error {
				below, stop := context.WithCancelCause(ctx)
				g.After(time.Second, func(context.Context) error { stop(errTest); return nil })
				return sleeper(below)
			})
			return loop.WithGroup(derived, func(_ context.Context, g *loop.Group) error {
				g.Go(sleeper)
				loop.Yield(ctx)
				cancel(errTest)
				return nil
			})
		})
	}
}

// hooked is a context that calls a function the next time that it is asked for
// its error.
type hooked struct {
	context.Context
	done chan struct{}
	hook *atomic.Pointer[func()]
}

func (c hooked) Done() <-chan struct{} { return c.done }

func (c hooked) Err() error {
	if f := c.hook.Swap(nil); f != nil {
		(*f)()
	}
	return c.Context.Err()
}

// TestWhileLooking: what happens while the loop looks at contexts is looked at
// as well.
func TestWhileLooking(t *testing.T) {
	outer, cancel := context.WithCancelCause(t.Context())
	loop.Run(outer, &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		hook := new(atomic.Pointer[func()])
		sleeper := g.Go(func(ctx context.Context) error {
			if err := loop.Sleep(ctx, time.Hour); err != errTest {
				t.Errorf("Sleep() = %v", err)
			}
			return nil
		})
		g.Background(func(ctx context.Context) error {
			return loop.Sleep(hooked{ctx, make(chan struct{}), hook}, 10*time.Hour)
		})
		loop.Yield(ctx)
		visit := func() {
			p.Run(context.Background(), func(context.Context) error {
				cancel(errTest)
				return nil
			})
		}
		hook.Store(&visit)
		sleeper.Wait(ctx)
		return p.Close()
	})
}

// TestLateEnd: a context of package context that ended together with an earlier
// wait has nothing to do with the next one.
func TestLateEnd(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var first, second loop.Event
		derived, cancel := context.WithCancel(ctx)
		g.Go(func(context.Context) error {
			cancel() // which is told on a goroutine
			first.Set()
			return nil
		})
		g.After(time.Second, func(context.Context) error { second.Set(); return nil })
		if err := first.Wait(derived); err != nil {
			t.Errorf("the first wait: %v", err)
		}
		return second.Wait(ctx)
	})
}
