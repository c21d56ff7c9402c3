package loop_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"concert/loop"
)

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// quiet fails the test if goroutines are left at its end.
func quiet(t testing.TB) {
	t.Helper()
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for i := 0; runtime.NumGoroutine() > before; i++ {
			if i == 5000 {
				buf := make([]byte, 1<<16)
				t.Fatalf("%d goroutines are left:\n%s", runtime.NumGoroutine()-before, buf[:runtime.Stack(buf, true)])
			}
			time.Sleep(time.Millisecond)
		}
	})
}

// TestServe_SharedState: the handlers of connections must be able to share
// state without a lock, and to pass the connections to packages that do not use
// the loop.
func TestServe_SharedState(t *testing.T) {
	quiet(t)
	err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		l := listen(t)
		visits := map[string]int{}
		server := g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, l, func(ctx context.Context, c net.Conn) {
				in := bufio.NewScanner(c)
				for in.Scan() {
					visits[in.Text()]++
					if json.NewEncoder(c).Encode(visits[in.Text()]) != nil {
						return
					}
				}
			})
		})
		sum := 0
		err := loop.WithGroup(ctx, func(ctx context.Context, g *loop.Group) error {
			for i := range 20 {
				g.Go(func(ctx context.Context) error {
					c, err := loop.Dial(ctx, "tcp", l.Addr().String())
					if err != nil {
						return err
					}
					defer c.Close()
					in := json.NewDecoder(c)
					for range 10 {
						fmt.Fprintf(c, "name %d\n", i%3)
						var n int
						if err := in.Decode(&n); err != nil {
							return err
						}
						sum += n
					}
					return nil
				})
			}
			return nil
		})
		// 7, 7 and 6 clients with 10 visits each.
		if want := 70*71/2*2 + 60*61/2; sum != want {
			t.Errorf("the sum of all answers is %d, want %d", sum, want)
		}
		server.Cancel()
		if err := server.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Serve() = %v", err)
		}
		if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
			t.Error("the listener is open")
		}
		return err
	})
	if err != nil {
		t.Errorf("Run() = %v", err)
	}
}

// TestServe_HandlerPanics: if a handler panics, Serve must close the
// connection of this handler, and no other connection.
func TestServe_HandlerPanics(t *testing.T) {
	quiet(t)
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		l := listen(t)
		g.Background(func(ctx context.Context) error {
			return loop.Serve(ctx, l, func(ctx context.Context, c net.Conn) {
				b := make([]byte, 1)
				for {
					if _, err := c.Read(b); err != nil {
						return
					}
					if b[0] == '!' {
						panic("boom")
					}
					c.Write(b)
				}
			})
		})
		steady, err := loop.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer steady.Close()
		bad, err := loop.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer bad.Close()
		io.WriteString(bad, "!")
		if n, err := bad.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("Read() from the connection of the panicked handler = %d, %v", n, err)
		}
		io.WriteString(steady, "x")
		if n, err := steady.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("Read() from another connection = %d, %v", n, err)
		}
		return nil
	})
	if text := log.String(); !strings.Contains(text, "boom") || strings.Count(text, "TestServe_HandlerPanics.func1.1.1(") != 1 {
		t.Errorf("the log does not contain the stack exactly once: %s", text)
	}
}

// failingListener is a listener whose first calls of Accept fail.
type failingListener struct {
	net.Listener
	errs chan error
}

func (l *failingListener) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

// TestServe_LogHandlerFails: if the handler of slog fails, the server must
// continue. Only the log line may be lost.
func TestServe_LogHandlerFails(t *testing.T) {
	defer slog.SetDefault(slog.Default())
	for name, fail := range map[string]func(){"panics": func() { panic("out of ink") }, "exits": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			slog.SetDefault(slog.New(failingHandler{slog.DiscardHandler, fail}))
			err := loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
				l := listen(t)
				g.Background(func(ctx context.Context) error {
					return loop.Serve(ctx, l, func(context.Context, net.Conn) { panic("boom") })
				})
				for range 2 {
					c, err := loop.Dial(ctx, "tcp", l.Addr().String())
					if err != nil {
						return err
					}
					if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
						t.Errorf("Read() = %d, %v; want the end of the connection", n, err)
					}
					c.Close()
				}
				return nil
			})
			if err != nil {
				t.Errorf("Run() = %v", err)
			}
		})
	}
}

// TestServe_AcceptFails: if Accept fails because of too many open files, Serve
// must try again. Another error of the listener must end Serve and its
// handlers.
func TestServe_AcceptFails(t *testing.T) {
	quiet(t)
	var log bytes.Buffer
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		many := &net.OpError{Op: "accept", Err: os.NewSyscallError("accept", syscall.EMFILE)}
		l := &failingListener{listen(t), make(chan error, 2)}
		l.errs <- many
		l.errs <- many
		ended := false
		var accepted loop.Event
		server := g.Go(func(ctx context.Context) error {
			err := loop.Serve(ctx, l, func(ctx context.Context, c net.Conn) {
				accepted.Set()
				_, err := c.Read(make([]byte, 1))
				if !errors.Is(err, context.Canceled) {
					t.Errorf("Read() = %v", err)
				}
				ended = true
			})
			if !errors.Is(err, errTest) || !ended {
				t.Errorf("Serve() = %v; the handler has ended: %v", err, ended)
			}
			return nil
		})
		c, err := loop.Dial(ctx, "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		accepted.Wait(ctx)
		l.errs <- errTest
		reuse, err := loop.Dial(ctx, "tcp", l.Addr().String())
		if err == nil {
			defer reuse.Close()
		}
		return server.Wait(ctx)
	})
	if n := strings.Count(log.String(), "too many open files"); n != 2 {
		t.Errorf("%d log lines about too many open files, want 2: %s", n, log.String())
	}
}

// TestDial_Error: if the connection attempt fails, Dial must return the error
// of the attempt.
func TestDial_Error(t *testing.T) {
	quiet(t)
	l := listen(t)
	l.Close()
	loop.Run(t.Context(), nil, func(ctx context.Context, g *loop.Group) error {
		if c, err := loop.Dial(ctx, "tcp", l.Addr().String()); c != nil || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("Dial() to a closed port = %v, %v", c, err)
		}
		return nil
	})
}

// slowCloseConn is a connection whose Close takes long, like the Close of a TLS
// connection.
type slowCloseConn struct{ net.Conn }

func (c slowCloseConn) Close() error {
	time.Sleep(5 * time.Second)
	return c.Conn.Close()
}

// oneConnListener is a listener that accepts one connection.
type oneConnListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *oneConnListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, errTest
	}
}

func (l *oneConnListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *oneConnListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestServe_SlowClose: if the Close of a connection blocks, it must not block
// the loop.
func TestServe_SlowClose(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		l := &oneConnListener{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- slowCloseConn{a}
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

// TestServe_ClosesListenerFirst: Serve must close the listener before it waits
// for the handlers.
func TestServe_ClosesListenerFirst(t *testing.T) {
	ok(t, func(ctx context.Context, g *loop.Group) error {
		a, b := net.Pipe()
		defer b.Close()
		l := &oneConnListener{make(chan net.Conn, 1), make(chan struct{})}
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
