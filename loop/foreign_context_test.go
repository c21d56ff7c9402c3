package loop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
)

// TestForeignContext_Cause: package context derives a context from the context
// of a coroutine. The derived context must have the cause of the coroutine's
// context, and must end at the same moment.
func TestForeignContext_Cause(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		cancel(errTest)
		if cause := context.Cause(inner); cause != errTest {
			t.Errorf("Cause() of a context whose Done was never called = %v", cause)
		}
		short, cancelShort := loop.WithTimeout(ctx, time.Second)
		defer cancelShort()
		derived, cancelDerived := context.WithCancel(short)
		defer cancelDerived()
		loop.Sleep(ctx, time.Minute)
		if short.Err() != context.DeadlineExceeded || context.Cause(derived) != context.DeadlineExceeded {
			t.Errorf("Err() of a timeout = %v; cause of a derived context: %v", short.Err(), context.Cause(derived))
		}
		outer, cancelOuter := loop.WithCancel(ctx)
		between, cancelBetween := context.WithTimeout(outer, time.Hour)
		defer cancelBetween()
		loop.WithGroup(between, func(ctx context.Context, g *loop.Group) error {
			cancelOuter(errTest)
			if err := loop.NewQueue[int](0).Put(ctx, 1); err != errTest {
				t.Errorf("Put() after the cancel = %v", err)
			}
			return nil
		})
		return nil
	})
}

// TestForeignContext_EndsWait: package context has derived a context. If this
// context ends, waits with it must end.
func TestForeignContext_EndsWait(t *testing.T) {
	type key struct{}
	ok(t, func(ctx context.Context, g *loop.Group) error {
		valued := context.WithValue(ctx, key{}, 1)
		if err := loop.Sleep(valued, time.Second); err != nil {
			t.Errorf("Sleep() with WithValue = %v", err)
		}
		short, cancel := context.WithTimeout(valued, time.Second)
		defer cancel()
		for range 2 {
			if err := loop.Sleep(short, time.Hour); err != context.DeadlineExceeded {
				t.Errorf("Sleep() with context.WithTimeout = %v", err)
			}
		}
		free := context.WithoutCancel(short)
		if err := loop.Sleep(free, time.Second); err != nil {
			t.Errorf("Sleep() with WithoutCancel = %v", err)
		}
		below, stop := loop.WithTimeout(free, time.Minute)
		defer stop()
		if err := loop.Sleep(below, time.Hour); err != context.DeadlineExceeded {
			t.Errorf("Sleep() with loop.WithTimeout below WithoutCancel = %v", err)
		}
		ours, stop2 := loop.WithCancel(valued)
		theirs, cancel2 := context.WithCancel(ours)
		defer cancel2()
		reuse, stop3 := loop.WithTimeout(theirs, time.Hour)
		defer stop3()
		g.After(time.Second, func(context.Context) error { stop2(errTest); return nil })
		if err := loop.Sleep(reuse, time.Hour); err != errTest || context.Cause(theirs) != errTest || reuse.Value(key{}) != 1 {
			t.Errorf("Sleep() with loop, context and loop contexts = %v; cause: %v", err, context.Cause(theirs))
		}
		return nil
	})
}

// TestForeignContext_NoDeadlock: while a foreign context can end, the loop must
// not report a deadlock, in real and in virtual time.
func TestForeignContext_NoDeadlock(t *testing.T) {
	waits := func(ctx context.Context, g *loop.Group) error { return new(loop.Event).Wait(ctx) }
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return loop.WithGroup(short, waits)
	})
	if err != context.DeadlineExceeded {
		t.Errorf("WithGroup() with context.WithTimeout = %v", err)
	}
	err = loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		g.Background(sleeps(time.Hour, nil))
		start := loop.Now(ctx)
		for range 2 {
			short, cancel := loop.WithTimeout(ctx, time.Second)
			derived, cancel2 := context.WithCancel(short)
			if err := loop.WithGroup(derived, waits); err != context.DeadlineExceeded {
				t.Errorf("WithGroup() with a context derived from a virtual timeout = %v", err)
			}
			short, cancel3 := loop.WithTimeout(ctx, time.Second)
			derived, cancel4 := context.WithCancel(short)
			if err := new(loop.Event).Wait(derived); err != context.DeadlineExceeded {
				t.Errorf("Wait() with a context derived from a virtual timeout = %v", err)
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
			t.Errorf("Wait() with a deadline in the past = %v, at %v", err, loop.Now(ctx).Sub(start))
		}
		began := false
		g.After(0, func(context.Context) error { began = true; return nil })
		if loop.Yield(ctx); !began {
			t.Error("After(0) did not start the coroutine")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// tracedContext is a context whose Err method uses the loop.
type tracedContext struct{ context.Context }

func (c tracedContext) Err() error {
	_ = fmt.Sprint(loop.Of(c.Context).Tree())
	return c.Context.Err()
}

// TestForeignContext_CalledUnlocked: the loop must call the methods of foreign
// contexts without holding a lock.
func TestForeignContext_CalledUnlocked(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := context.WithCancel(ctx)
		defer cancel()
		return loop.WithGroup(tracedContext{inner}, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return loop.Sleep(tracedContext{ctx}, time.Second) })
			return loop.Sleep(tracedContext{inner}, time.Second)
		})
	})
}

// TestForeignContext_EndedGroup: if the foreign context of a group has ended, a
// new child must never run.
func TestForeignContext_EndedGroup(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		derived, cancel := context.WithCancel(ctx)
		return loop.WithGroup(derived, func(_ context.Context, g *loop.Group) error {
			cancel()
			g.Go(func(context.Context) error { t.Error("the child ran"); return nil })
			return nil
		})
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v", err)
	}
}

// virtually runs main with virtual time, and fails the test if Run fails.
func virtually(t *testing.T, main func(ctx context.Context, g *loop.Group) error) {
	t.Helper()
	if err := loop.Run(t.Context(), &loop.Options{Virtual: true}, main); err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// TestForeignContext_Nested: contexts of package context and of the loop are
// nested in turn. If the outermost one ends, all of them must end before
// virtual time advances.
func TestForeignContext_Nested(t *testing.T) {
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

// TestForeignContext_CanceledByCoroutine: if a coroutine cancels a foreign
// context, the waits with this context must end before virtual time advances.
// This holds with a group and without one.
func TestForeignContext_CanceledByCoroutine(t *testing.T) {
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

// TestForeignContext_EndsDuringPoll: if a context ends while the loop polls
// contexts, the loop must poll again.
func TestForeignContext_EndsDuringPoll(t *testing.T) {
	outer, cancel := context.WithCancelCause(t.Context())
	loop.Run(outer, &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		sleeper := g.Go(func(ctx context.Context) error {
			if err := loop.Sleep(ctx, time.Hour); err != errTest {
				t.Errorf("Sleep() = %v", err)
			}
			return nil
		})
		g.Background(func(ctx context.Context) error {
			endless, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			return loop.Sleep(endless, 10*time.Hour)
		})
		loop.Yield(ctx)
		loop.OnPoll(ctx, func() {
			p.Run(context.Background(), func(context.Context) error {
				cancel(errTest)
				return nil
			})
		})
		sleeper.Wait(ctx)
		return p.Close()
	})
}

// TestForeignContext_EndsAfterWait: if a foreign context ends together with a
// wait, the context must not end the next wait.
func TestForeignContext_EndsAfterWait(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		var first, second loop.Event
		derived, cancel := context.WithCancel(ctx)
		g.Go(func(context.Context) error {
			cancel() // package context reports it on another goroutine
			first.Set()
			return nil
		})
		g.After(time.Second, func(context.Context) error { second.Set(); return nil })
		if err := first.Wait(derived); err != nil {
			t.Errorf("Wait() for the first event = %v", err)
		}
		return second.Wait(ctx)
	})
}

// badContext is a context of the program's own type. After its flag is set, its
// methods panic.
type badContext struct {
	context.Context
	bad *atomic.Bool
}

func (c badContext) check() {
	if c.bad.Load() {
		panic("a method of the context")
	}
}

// Err, Done, Value and Deadline panic.
func (c badContext) Err() error                  { c.check(); return c.Context.Err() }
func (c badContext) Done() <-chan struct{}       { c.check(); return c.Context.Done() }
func (c badContext) Value(key any) any           { c.check(); return c.Context.Value(key) }
func (c badContext) Deadline() (time.Time, bool) { c.check(); return c.Context.Deadline() }

// TestForeignContext_Misbehaves: the methods of a context of the program's
// own type begin to panic at some time. The loop must continue, and the end
// of the context must still end its coroutines. It must be possible to
// cancel a task that a coroutine has submitted to an executor. The test uses
// such contexts for Run, for Portal.Run, for a wait, and as a context from
// which a coroutine derives other contexts.
func TestForeignContext_Misbehaves(t *testing.T) {
	check := func(t *testing.T, bad badContext, cancel context.CancelFunc, ctx context.Context) {
		ex := goroutines.New(1, nil)
		gate := make(chan struct{})
		running := concert.Submit(ctx, ex, func(context.Context, int) (int, error) { <-gate; return 1, nil }, 0)
		queued := concert.Submit(ctx, ex, func(context.Context, int) (int, error) { return 2, nil }, 0)
		bad.bad.Store(true)
		if !queued.Cancel() {
			t.Error("Cancel() of a queued task = false")
		}
		running.Cancel()
		close(gate)
		cancel()
		if err := loop.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
			t.Errorf("Sleep() = %v, want Canceled", err)
		}
		ex.Close()
	}
	newContext := func(ctx context.Context) (badContext, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		return badContext{ctx, new(atomic.Bool)}, cancel
	}
	t.Run("Run", func(t *testing.T) {
		bad, cancel := newContext(t.Context())
		loop.Run(bad, nil, func(ctx context.Context, g *loop.Group) error {
			check(t, bad, cancel, ctx)
			return nil
		})
	})
	t.Run("Portal.Run", func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			p := g.Portal()
			defer p.Close()
			return loop.Block(ctx, func() error {
				bad, cancel := newContext(t.Context())
				return p.Run(bad, func(ctx context.Context) error {
					check(t, bad, cancel, ctx)
					return nil
				})
			})
		})
	})
	t.Run("wait", func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			bad, cancel := newContext(ctx)
			g.After(time.Millisecond, func(context.Context) error { bad.bad.Store(true); cancel(); return nil })
			if err := loop.Sleep(bad, time.Hour); !errors.Is(err, context.Canceled) {
				t.Errorf("Sleep() = %v, want Canceled", err)
			}
			return nil
		})
	})
	t.Run("Conn", func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			own := ownDone{badContext{ctx, new(atomic.Bool)}, make(chan struct{})}
			g.After(time.Millisecond, func(context.Context) error { own.bad.Store(true); close(own.done); return nil })
			local, remote := net.Pipe()
			defer remote.Close()
			defer func() {
				if recover() == nil { // Read has called Err of the context after the end
					t.Error("Read() does not end with the context")
				}
			}()
			loop.Conn(own, local).Read(make([]byte, 1))
			return nil
		})
	})
	t.Run("derived", func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			bad, cancel := newContext(ctx)
			below, stop := loop.WithCancel(bad)
			defer stop(nil)
			check(t, bad, cancel, below)
			return nil
		})
	})
}

// ownDone is a badContext that has its own Done channel.
type ownDone struct {
	badContext
	done chan struct{}
}

func (c ownDone) Done() <-chan struct{} { return c.done }
