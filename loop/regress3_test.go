package loop_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert/loop"
)

// And more of them.

// TestRunEndsEarly: the end of Run's context is heard of, also if it comes just
// when Run begins.
func TestRunEndsEarly(t *testing.T) {
	outer, cancel := context.WithCancelCause(t.Context())
	cancel(errTest)
	for range 5000 {
		err := loop.Run(outer, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Minute) })
		if err != errTest {
			t.Fatalf("Run() = %v", err)
		}
	}
}

// TestCloseElsewhere: a connection may be closed by any goroutine, and that
// does not take the loop from anybody.
func TestCloseElsewhere(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inside := 0
		for range 2 {
			g.Go(func(ctx context.Context) error {
				a, b := net.Pipe()
				defer b.Close()
				c := loop.Conn(ctx, a)
				time.AfterFunc(10*time.Millisecond, func() { c.Close() })
				inside++
				time.Sleep(50 * time.Millisecond) // all in one step
				if inside > 1 {
					t.Error("two coroutines run at the same time")
				}
				inside--
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("Read() of a connection that was closed")
				}
				return nil
			})
		}
		return nil
	})
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

// TestVisitorOfLeft: a visitor whose context has been left has no time.
func TestVisitorOfLeft(t *testing.T) {
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
			t.Error("it slept an hour")
		}
		return p.Close()
	})
}

// TestInterruptsTogether: of several that are interrupted together none waits
// for the others.
func TestInterruptsTogether(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		short, cancel := loop.WithTimeout(ctx, time.Second)
		defer cancel()
		set := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(set) })
		start := time.Now()
		loop.WithGroup(short, func(_ context.Context, g *loop.Group) error {
			for i := range 3 {
				g.Go(func(ctx context.Context) error {
					a, b := net.Pipe()
					defer a.Close()
					defer b.Close()
					c := a
					if i == 1 {
						c = slow{a, set}
					}
					_, err := loop.Conn(ctx, c).Read(make([]byte, 1))
					if i != 1 && time.Since(start) != time.Second {
						t.Errorf("Read %d ended after %v", i, time.Since(start))
					}
					return err
				})
			}
			return nil
		})
		return nil
	})
}

// TestTreeOrder: who stands below a context that is left keeps his place.
func TestTreeOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			inner, cancel := loop.WithCancel(ctx)
			return loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
				for _, name := range []string{"a", "b", "c"} {
					g.Go(sleeps(time.Hour, nil)).SetName("%s", name)
				}
				before := loop.Of(ctx).Tree()
				cancel(nil)
				if after := loop.Of(ctx).Tree(); after != before {
					t.Errorf("before:\n%s\nafter:\n%s", before, after)
				}
				return nil
			})
		})
	})
}
