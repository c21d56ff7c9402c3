package loop_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
	"concert/loop/looptest"
)

// Cases that once failed.

// endsNow returns a context that another goroutine is about to cancel.
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

// TestReadRacesCancel: a context that ends just when a Read begins ends it.
func TestReadRacesCancel(t *testing.T) {
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		late := time.AfterFunc(20*time.Second, func() { t.Error("a Read goes on"); a.Close() })
		defer late.Stop()
		for range 5000 {
			inner := endsNow(ctx)
			if _, err := loop.Conn(inner, a).Read(make([]byte, 1)); err != errTest {
				t.Fatalf("Read() = %v", err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestWaitRacesCancel: nor does a wait go on that begins just when its context
// ends.
func TestWaitRacesCancel(t *testing.T) {
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		g.Background(sleeps(20*time.Second, errors.New("a wait goes on")))
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

// TestDoneAndErr: a context whose Done is closed has an error, in whatever
// instant.
func TestDoneAndErr(t *testing.T) {
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
						_, cancel := context.WithCancel(ctx) // it panics if there is no error
						cancel()
					}
					return nil
				})
			})
		})
	}
}

// TestTasksOfCoroutines: what a coroutine submits to a pool is no part of it,
// even if it runs at the same time.
func TestTasksOfCoroutines(t *testing.T) {
	var busy, twice atomic.Int32
	hold := func() {
		if busy.Add(1) > 1 {
			twice.Add(1)
		}
		time.Sleep(5 * time.Millisecond)
		busy.Add(-1)
	}
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		portal := g.Portal()
		defer portal.Close()
		pool := goroutines.New(2, &goroutines.Options{Lock: portal})
		inside := concert.Submit(ctx, pool, func(context.Context, int) (int, error) { hold(); return 0, nil }, 0)
		plain := goroutines.New(2, nil)
		nested := concert.Submit(ctx, plain, func(ctx context.Context, _ int) (string, error) {
			err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error { return loop.Sleep(ctx, time.Millisecond) })
			return panics(func() { loop.Now(ctx) }), err
		}, 0)
		hold() // without an await
		if text, err := nested.Result(ctx); !strings.Contains(text, "Now called with a context that belongs to no coroutine") || err != nil {
			t.Errorf("in a task of another pool: %s, %v", text, err)
		}
		_, err := inside.Result(ctx)
		return err
	})
	if twice.Load() > 0 || err != nil {
		t.Errorf("two coroutines ran at once: %v; %v", twice.Load() > 0, err)
	}
}

// TestNestedEnds: a group that is ended from outside is no success, even if the
// outer one was.
func TestNestedEnds(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		g.Background(func(ctx context.Context) error {
			long := func(ctx context.Context) (int, error) { return 42, loop.Sleep(ctx, time.Hour) }
			if v, err := loop.Gather(ctx, long, long); v != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("Gather() = %v, %v", v, err)
			}
			for _, cancels := range []bool{false, true} {
				err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
					err := loop.Sleep(ctx, time.Hour)
					if cancels {
						g.Cancel() // too late
					}
					return err
				})
				if !errors.Is(err, context.Canceled) {
					t.Errorf("WithGroup() = %v; it cancels itself: %v", err, cancels)
				}
			}
			return nil
		})
		return loop.Sleep(ctx, time.Second)
	})
}

// TestLateDeadlock: a deadlock is seen also when what could still have happened
// goes away without waking anybody.
func TestLateDeadlock(t *testing.T) {
	for _, outside := range []bool{false, true} {
		err := run(t, func(ctx context.Context, g *loop.Group) error {
			_, cancel := loop.WithTimeout(ctx, time.Hour)
			defer cancel()
			if outside {
				time.AfterFunc(time.Minute, cancel)
			}
			return new(loop.Event).Wait(ctx) // not in the timeout
		})
		if !errors.Is(err, concert.ErrDeadlock) {
			t.Errorf("canceled from outside: %v; Run() = %v", outside, err)
		}
	}
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

// TestCanceledAbove: coroutines below a context that was canceled can still be
// seen, and do not spin.
func TestCanceledAbove(t *testing.T) {
	tree := ""
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		return loop.WithGroup(inner, func(ctx context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return new(loop.Event).Wait(loop.Shield(ctx)) }).SetName("stuck")
			loop.Yield(ctx)
			cancel(nil)
			loop.WithGroup(loop.Shield(inner), func(_ context.Context, g *loop.Group) error {
				g.Go(nothing).SetName("later")
				tree = loop.Of(ctx).Tree()
				return nil
			})
			return nil
		})
	})
	if !strings.Contains(tree, "stuck") || !strings.Contains(tree, "later") || !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Run() = %v; the tree:\n%s", err, tree)
	}
}

// TestCondSeeds: between the look at a state and the wait for its change nobody
// runs.
func TestCondSeeds(t *testing.T) {
	looptest.Explore(t, 500, func(ctx context.Context, g *loop.Group) error {
		var c loop.Cond
		full := false
		g.Go(func(ctx context.Context) error { return c.WaitFor(ctx, func() bool { return full }) })
		g.Go(func(context.Context) error { full = true; c.Notify(1); return nil })
		return nil
	})
}

// TestCondStuck: in a deadlock, too, Wait has its lock again when it returns.
func TestCondStuck(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		var m loop.Mutex
		c := loop.Cond{L: &m}
		g.Go(func(ctx context.Context) error {
			m.Lock(ctx)
			defer m.Unlock()
			return c.Wait(ctx)
		})
		g.Go(func(ctx context.Context) error {
			m.Lock(ctx)
			defer m.Unlock()
			return new(loop.Event).Wait(loop.Shield(ctx))
		})
		return nil
	})
	if _, panicked := errors.AsType[*concert.PanicError](err); panicked || !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("Run() = %v", err)
	}
}

// TestEchoes: an error that says more than that its context has ended is not
// lost.
func TestEchoes(t *testing.T) {
	cleanup := errors.New("cleanup failed")
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { return errors.Join(loop.Sleep(ctx, time.Hour), cleanup) })
		g.Go(func(context.Context) error { return errTest })
		g.Go(func(ctx context.Context) error { return errors.Join(loop.Sleep(ctx, time.Hour), context.Canceled) })
		return nil
	})
	if err == nil || !errors.Is(err, cleanup) || !errors.Is(err, errTest) || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("Run() = %v", err)
	}
	err = run(t, func(ctx context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { panic(loop.Sleep(ctx, time.Hour)) })
		loop.Yield(ctx)
		g.Cancel()
		return nil
	})
	if _, ok := errors.AsType[*concert.PanicError](err); !ok {
		t.Errorf("a panic with a cancellation: Run() = %v", err)
	}
}

// TestRaces: what any goroutine may call, any goroutine may call. It is for the
// race detector.
func TestRaces(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		for range 200 {
			loop.WithGroup(ctx, func(_ context.Context, g *loop.Group) error { go g.Cancel(); return nil })
		}
		ended := make(chan struct{})
		l, fn := loop.Of(ctx), func(context.Context) (int, error) { return 1, nil }
		go func() {
			for range 200 {
				l.Tree()
			}
			close(ended)
		}()
		for range 200 {
			loop.Gather(ctx, fn, fn)
		}
		<-ended
		return nil
	})
	run(t, func(ctx context.Context, g *loop.Group) error {
		var e loop.Event
		for range 50 {
			g.Go(func(ctx context.Context) error {
				err := e.Wait(ctx)
				go func() { _ = err.Error() }()
				return err
			})
		}
		return nil
	})
}

// slow is a connection whose deadlines take their time.
type slow struct {
	net.Conn
	set chan struct{}
}

func (c slow) SetReadDeadline(at time.Time) error {
	err := c.Conn.SetReadDeadline(at)
	if !at.IsZero() {
		<-c.set
	}
	return err
}

// TestSlowInterrupt: a coroutine does not go on before what interrupts it is
// done, which then does not touch its next wait.
func TestSlowInterrupt(t *testing.T) {
	for name, make := range map[string]func(context.Context) (context.Context, context.CancelCauseFunc){
		"loop": loop.WithCancel, "context": context.WithCancelCause,
	} {
		t.Run(name, func(t *testing.T) { testSlowInterrupt(t, make) })
	}
}

func testSlowInterrupt(t *testing.T, withCancel func(context.Context) (context.Context, context.CancelCauseFunc)) {
	synctest.Test(t, func(t *testing.T) {
		loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
			a, b := net.Pipe()
			defer b.Close()
			set := make(chan struct{})
			inner, cancel := withCancel(ctx)
			time.AfterFunc(time.Second, func() { cancel(errTest) })
			time.AfterFunc(time.Hour, func() { close(set) })
			start := time.Now()
			if _, err := loop.Conn(inner, slow{a, set}).Read(make([]byte, 1)); err != errTest || time.Since(start) != time.Hour {
				t.Errorf("Read() = %v after %v", err, time.Since(start))
			}
			if err := new(loop.Event).Wait(ctx); !errors.Is(err, concert.ErrDeadlock) {
				t.Errorf("the next wait: %v", err)
			}
			return nil
		})
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

// TestReadInTime: what a Read has got when its context ends is not lost.
func TestReadInTime(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		b := make([]byte, 10)
		if n, err := loop.Conn(inner, late{cancel: cancel}).Read(b); string(b[:n]) != "hello" || err != nil {
			t.Errorf("Read() = %q, %v", b[:n], err)
		}
		return nil
	})
}

// late is a connection whose Read has its context end before it returns.
type late struct {
	net.Conn
	cancel context.CancelCauseFunc
}

func (c late) Read(b []byte) (int, error) {
	c.cancel(nil)
	return copy(b, "hello"), nil
}

func (c late) SetReadDeadline(time.Time) error { return nil }

// TestPortalClosesMeanwhile: who waits to come in by a portal that is closed
// meanwhile does not.
func TestPortalClosesMeanwhile(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		p := g.Portal()
		result := make(chan error, 1)
		go func() {
			result <- p.Run(context.Background(), func(context.Context) error { t.Error("it came in"); return nil })
		}()
		go func() {
			synctest.Wait() // until it stands in line, as this coroutine has the loop
			p.Close()
			result <- errTest
		}()
		if err := <-result; err != errTest {
			t.Errorf("it did not wait: %v", err)
		}
		return loop.Block(ctx, func() error {
			if err := <-result; err != loop.ErrClosed {
				t.Errorf("Run() = %v", err)
			}
			return nil
		})
	})
}

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

// TestFailuresLetRun: awaits that fail for other reasons than a cancellation
// let others run, too.
func TestFailuresLetRun(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		q := loop.NewQueue[int](1)
		q.Close()
		var m loop.Mutex
		m.Lock(ctx)
		for name, await := range map[string]func() error{
			"Put":  func() error { return q.Put(ctx, 1) },
			"Get":  func() error { _, err := q.Get(ctx); return err },
			"Lock": func() error { return m.Lock(ctx) },
			"Wait": func() error { return loop.Current(ctx).Wait(ctx) },
		} {
			other := g.Go(nothing)
			if err := await(); err == nil || !other.Done() {
				t.Errorf("%s: %v; another has run: %v", name, err, other.Done())
			}
		}
		return nil
	})
}

// TestOpenMisuse: Open panics where it is called, and a portal that is closed
// is closed for those inside as well.
func TestOpenMisuse(t *testing.T) {
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
