package loop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"concert"
	"concert/loop"
)

// TestConn_ReadRacesCancel: if the context of a Read ends just when the Read
// begins, the Read must end.
func TestConn_ReadRacesCancel(t *testing.T) {
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		late := time.AfterFunc(20*time.Second, func() { t.Error("a Read continues after its context ended"); a.Close() })
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

// TestConn_Cancel: if a Read or a Write is canceled, it must end, and the
// connection must work with another context. No received byte may be lost.
func TestConn_Cancel(t *testing.T) {
	quiet(t)
	l := listen(t)
	defer l.Close()
	large := make([]byte, 64<<20)
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		c, err := loop.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		peer, err := l.Accept()
		if err != nil {
			return err
		}
		defer peer.Close()
		for name, makes := range map[string]func() (context.Context, func()){
			"loop":    func() (context.Context, func()) { c, f := loop.WithTimeout(ctx, 10*time.Millisecond); return c, f },
			"context": func() (context.Context, func()) { c, f := context.WithTimeout(ctx, 10*time.Millisecond); return c, f },
		} {
			short, cancel := makes()
			b := make([]byte, 10)
			if n, err := loop.Conn(short, c).Read(b); n != 0 || err != context.DeadlineExceeded {
				t.Errorf("%s: Read() = %d, %v", name, n, err)
			}
			if n, err := loop.Conn(short, c).Read(b); n != 0 || err != context.DeadlineExceeded {
				t.Errorf("%s: Read() in a context that has ended = %d, %v", name, n, err)
			}
			cancel()
			io.WriteString(peer, "hello")
			if n, err := c.Read(b); string(b[:n]) != "hello" || err != nil {
				t.Errorf("%s: Read() afterwards = %q, %v", name, b[:n], err)
			}

			short, cancel = makes()
			n, err := loop.Conn(short, c).Write(large)
			if n == len(large) || err != context.DeadlineExceeded {
				t.Errorf("%s: Write() = %d, %v", name, n, err)
			}
			cancel()
			drained := make(chan int64)
			go func() {
				m, _ := io.CopyN(io.Discard, peer, int64(n)+5)
				drained <- m
			}()
			if m, err := c.Write([]byte("hello")); m != 5 || err != nil {
				t.Errorf("%s: Write() afterwards = %d, %v", name, m, err)
			}
			if m := <-drained; m != int64(n)+5 {
				t.Errorf("%s: received %d bytes, want %d", name, m, n+5)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// TestConn_Deadline: a deadline that the program has set must apply. It must
// apply again after a Read was canceled.
func TestConn_Deadline(t *testing.T) {
	quiet(t)
	l := listen(t)
	defer l.Close()
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		raw, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer raw.Close()
		short, cancel := loop.WithCancel(ctx)
		c := loop.Conn(short, raw)
		c.SetDeadline(time.Now().Add(-time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read() after the deadline = %v", err)
		}
		if _, err := c.Write(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write() after the deadline = %v", err)
		}
		c.SetReadDeadline(time.Now().Add(time.Hour))
		c.SetWriteDeadline(time.Time{})
		g.After(time.Millisecond, func(context.Context) error { cancel(errTest); return nil })
		if _, err := c.Read(make([]byte, 1)); err != errTest {
			t.Errorf("Read() that is canceled = %v", err)
		}
		if _, err := c.Write(make([]byte, 1)); err != errTest {
			t.Errorf("Write() in a context that has ended = %v", err)
		}
		if n, err := loop.Conn(ctx, c).Write(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Write() with another context = %d, %v", n, err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// slowInterruptConn is a connection whose SetReadDeadline blocks until set is
// closed.
type slowInterruptConn struct {
	net.Conn
	set chan struct{}
}

func (c slowInterruptConn) SetReadDeadline(at time.Time) error {
	err := c.Conn.SetReadDeadline(at)
	if !at.IsZero() {
		<-c.set
	}
	return err
}

// TestConn_SlowInterrupt: a coroutine must not continue before the interrupt of
// its call has returned. Otherwise the interrupt could affect the next wait.
func TestConn_SlowInterrupt(t *testing.T) {
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
			if _, err := loop.Conn(inner, slowInterruptConn{a, set}).Read(make([]byte, 1)); err != errTest || time.Since(start) != time.Hour {
				t.Errorf("Read() = %v after %v", err, time.Since(start))
			}
			if err := new(loop.Event).Wait(ctx); !errors.Is(err, concert.ErrDeadlock) {
				t.Errorf("Wait() after the Read = %v, want a deadlock", err)
			}
			return nil
		})
	})
}

// TestConn_SlowInterruptDelaysOne: a slow interrupt must delay only the
// coroutine that it interrupts.
func TestConn_SlowInterruptDelaysOne(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		set := make(chan struct{})
		time.AfterFunc(time.Hour, func() { close(set) })
		g.Go(func(ctx context.Context) error {
			inner, cancel := loop.WithTimeout(ctx, time.Second)
			defer cancel()
			loop.Conn(inner, slowInterruptConn{a, set}).Read(make([]byte, 1))
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

// TestConn_ConcurrentInterrupts: if several calls are interrupted at the same
// time, they must not wait for each other.
func TestConn_ConcurrentInterrupts(t *testing.T) {
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
						c = slowInterruptConn{a, set}
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

// TestConn_ReadBeforeCancel: if a Read has received bytes when its context
// ends, the Read must return these bytes.
func TestConn_ReadBeforeCancel(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inner, cancel := loop.WithCancel(ctx)
		b := make([]byte, 10)
		if n, err := loop.Conn(inner, cancelingConn{cancel: cancel}).Read(b); string(b[:n]) != "hello" || err != nil {
			t.Errorf("Read() = %q, %v", b[:n], err)
		}
		return nil
	})
}

// cancelingConn is a connection whose Read cancels its context before it
// returns.
type cancelingConn struct {
	net.Conn
	cancel context.CancelCauseFunc
}

func (c cancelingConn) Read(b []byte) (int, error) {
	c.cancel(nil)
	return copy(b, "hello"), nil
}

func (c cancelingConn) SetReadDeadline(time.Time) error { return nil }

// TestConn_CloseOnOtherGoroutine: only one coroutine at a time may run, even
// if another goroutine closes a connection.
func TestConn_CloseOnOtherGoroutine(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		inside := 0
		for range 2 {
			g.Go(func(ctx context.Context) error {
				a, b := net.Pipe()
				defer b.Close()
				c := loop.Conn(ctx, a)
				time.AfterFunc(10*time.Millisecond, func() { c.Close() })
				inside++
				time.Sleep(50 * time.Millisecond) // without an await
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
