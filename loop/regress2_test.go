package loop_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
	"concert/loop"
)

// More cases that once failed.

// TestEndedIsNoDeadlock: when the context of Run or of Portal.Run has ended,
// waits end with its cause, however soon; and while that of Portal.Run has not,
// there is something to wait for.
func TestEndedIsNoDeadlock(t *testing.T) {
	for range 100 {
		for _, virtual := range []bool{false, true} {
			outer, cancel := context.WithCancelCause(t.Context())
			loop.Run(outer, &loop.Options{Virtual: virtual}, func(ctx context.Context, g *loop.Group) error {
				cancel(errTest)
				if err := new(loop.Event).Wait(ctx); err != errTest {
					t.Errorf("Wait() = %v; virtual time: %v", err, virtual)
				}
				return nil
			})
			outer, cancel = context.WithCancelCause(t.Context())
			loop.Run(outer, &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
				cancel(errTest)
				if err := loop.Sleep(ctx, time.Hour); err != errTest {
					t.Errorf("Sleep() = %v", err)
				}
				return nil
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		p := loop.Open(t.Context(), nil)
		result := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			result <- p.Run(ctx, new(loop.Event).Wait)
		}()
		synctest.Wait()
		go p.Close()
		if err := <-result; err != context.DeadlineExceeded {
			t.Errorf("Portal.Run() = %v", err)
		}
	})
}

// TestStallBeside: the stack in a report is that of the culprit, whatever else
// is outside of the loop.
func TestStallBeside(t *testing.T) {
	var deep func(n int)
	deep = func(n int) {
		if n > 0 {
			deep(n - 1)
			return
		}
		hold(time.Second)
	}
	for name, beside := range map[string]func(ctx context.Context) error{
		"Read": func(ctx context.Context) error {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			_, err := loop.Conn(ctx, a).Read(make([]byte, 1))
			return err
		},
		"Block": func(ctx context.Context) error {
			return loop.Block(ctx, func() error { <-ctx.Done(); return nil })
		},
		"Result": func(ctx context.Context) error {
			_, err := concert.Go(ctx, func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, nil }).Result(ctx)
			return err
		},
		"another portal": func(ctx context.Context) error {
			return loop.Block(ctx, func() error {
				p := loop.Open(context.Background(), nil)
				defer p.Close()
				return p.Run(ctx, func(inner context.Context) error {
					return loop.Block(inner, func() error { <-ctx.Done(); return nil })
				})
			})
		},
	} {
		for what, culprit := range map[string]func(){
			"plain": func() { hold(time.Second) },
			"deep":  func() { deep(300) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					reports := make(chan *loop.StallReport, 10)
					opts := &loop.Options{OnStall: func(r *loop.StallReport) { reports <- r }}
					loop.Run(t.Context(), opts, func(ctx context.Context, g *loop.Group) error {
						for range 2 {
							g.Background(beside)
						}
						loop.Sleep(ctx, time.Second)
						if what == "plain" {
							loop.Block(ctx, func() error { // which changes the labels of this goroutine
								return loop.Run(context.Background(), nil, func(context.Context, *loop.Group) error { return nil })
							})
						}
						culprit()
						return nil
					})
					synctest.Wait()
					close(reports)
					n := 0
					for r := range reports {
						if n++; !strings.Contains(r.Stack, "loop_test.hold ") {
							t.Errorf("report: %v", r)
						}
					}
					if n != 1 {
						t.Errorf("%d reports", n)
					}
				})
			})
		}
	}
}

// TestVirtualDeadline: a deadline of virtual time is the loop's alone; package
// context, net and executors go by theirs.
func TestVirtualDeadline(t *testing.T) {
	l := listen(t)
	defer l.Close()
	pool := goroutines.New(1, nil)
	defer pool.Close()
	err := loop.Run(t.Context(), &loop.Options{Virtual: true}, func(ctx context.Context, g *loop.Group) error {
		short, cancel := loop.WithTimeout(ctx, time.Hour)
		defer cancel()
		if at, ok := short.Deadline(); ok {
			t.Errorf("Deadline() = %v", at)
		}
		c, err := loop.Dial(short, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		c.Close()
		if ended, err := loop.Offload(short, pool, func(ctx context.Context, _ int) (bool, error) { return ctx.Err() != nil, nil }, 0); ended || err != nil {
			t.Errorf("offloaded: %v, %v", ended, err)
		}
		real, cancelReal := context.WithTimeout(short, time.Millisecond)
		defer cancelReal()
		if err := loop.Block(real, func() error { <-real.Done(); return real.Err() }); err != context.DeadlineExceeded {
			t.Errorf("a real timeout below a virtual one: %v", err)
		}
		if now := loop.Now(ctx).Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); now != 0 {
			t.Errorf("it is %v", now)
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

// slowly is a connection whose Close takes its time, as that of a TLS
// connection may.
type slowly struct{ net.Conn }

func (c slowly) Close() error {
	time.Sleep(5 * time.Second)
	return c.Conn.Close()
}

// accepts is a listener with one connection.
type accepts struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *accepts) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errTest
	}
}
func (l *accepts) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}
func (l *accepts) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowClose: a connection that takes its time to close keeps nobody from
// running.
func TestSlowClose(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		l := &accepts{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- slowly{a}
		g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, l, func(context.Context, net.Conn) {})
		})
		for range 100 {
			start := time.Now()
			if loop.Sleep(ctx, 100*time.Millisecond); time.Since(start) != 100*time.Millisecond {
				t.Errorf("Sleep(100 ms) took %v", time.Since(start))
			}
		}
		return nil
	})
}

// TestServeOrder: the listener is closed before those who are handled are
// waited for.
func TestServeOrder(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		l := &accepts{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- a
		start := time.Now()
		go func() {
			<-l.closed
			if d := time.Since(start); d != time.Minute {
				t.Errorf("closed after %v", d)
			}
		}()
		short, cancel := loop.WithTimeout(ctx, time.Minute)
		defer cancel()
		err := loop.Serve(short, l, func(ctx context.Context, c net.Conn) {
			loop.Sleep(loop.Shield(ctx), time.Hour)
		})
		if err != context.DeadlineExceeded || time.Since(start) != time.Hour {
			t.Errorf("Serve() = %v after %v", err, time.Since(start))
		}
		return nil
	})
}

// TestSlowInterruptOfOthers: an interrupt that takes its time holds up nobody
// but whom it interrupts.
func TestSlowInterruptOfOthers(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		set := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(set) })
		g.Go(func(ctx context.Context) error {
			inner, cancel := loop.WithTimeout(ctx, time.Second)
			defer cancel()
			loop.Conn(inner, slow{a, set}).Read(make([]byte, 1))
			return nil
		})
		g.Go(func(ctx context.Context) error {
			start := time.Now()
			if loop.Sleep(ctx, time.Second); time.Since(start) != time.Second {
				t.Errorf("Sleep(1 s) took %v", time.Since(start))
			}
			return nil
		})
		return nil
	})
}

// odd is an error that cannot be compared, and does not like to be asked.
type odd struct{ v any }

func (odd) Error() string { return "odd" }
func (odd) Is(error) bool { panic("do not ask") }

// TestOddErrors: errors of any kind are errors.
func TestOddErrors(t *testing.T) {
	err := run(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		return loop.WithGroup(inner, func(_ context.Context, g *loop.Group) error {
			g.Go(func(ctx context.Context) error { return loop.Sleep(ctx, time.Hour) })
			loop.Yield(ctx)
			cancel(odd{[]int{1}})
			return nil
		})
	})
	if err == nil || err.Error() != "odd" {
		t.Errorf("Run() = %v", err)
	}
}

// TestVisitors: a coroutine that has come in by a portal is one for all, while
// it waits to come in and when it has panicked.
func TestVisitors(t *testing.T) {
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
			synctest.Wait() // it stands in line, as this coroutine has the loop
			tree <- l.Tree()
		}()
		if tree := <-tree; !strings.Contains(tree, "TestVisitors.func1.1.") || !strings.HasPrefix(tree, "loop: 3 coroutines\n") {
			t.Errorf("the tree:\n%s", tree)
		}
		loop.Block(ctx, func() error {
			if v := <-entered; v != "boom" {
				t.Errorf("the caller of Portal.Run got panic %v", v)
			}
			return nil
		})
		if err := external.Wait(ctx); err == nil {
			t.Error("Wait() for one that panicked = nil")
		}
		return p.Close()
	})
}
