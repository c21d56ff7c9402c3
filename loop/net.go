package loop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"concert"
)

// Conn returns c as the calling coroutine uses it: a Read and a Write let other coroutines run while they
// wait, and end when ctx does, with its cause. So whatever reads from a [net.Conn] can be used in a coroutine:
// package bufio, encoding/json, net/http. It is for the coroutine to which ctx belongs; another makes
// a Conn of its own, from c or from this one.
//
// A Read or Write that has ended with ctx leaves c usable: with another context, a timeout of one request say, it
// goes on. What a Read had got by then is returned, and no error. A Write that ended may have written part. Deadlines are set
// through the Conn, or not at all, as it needs those of c itself.
func Conn(ctx context.Context, c net.Conn) net.Conn {
	runs(ctx, "Conn")
	if view, ok := c.(*conn); ok {
		c = view.Conn
	}
	return &conn{Conn: c, ctx: ctx}
}

// conn is a Conn. Its fields belong to its coroutine.
type conn struct {
	net.Conn
	ctx           context.Context
	read, written time.Time // deadlines that the user has set
}

var past = time.Unix(1, 0)

// readSide and writeSide are what a cancellation acts on.
type (
	readSide  conn
	writeSide conn
)

func (c *readSide) interrupt()  { c.SetReadDeadline(past) }
func (c *writeSide) interrupt() { c.SetWriteDeadline(past) }

// Read is that of a [net.Conn].
func (c *conn) Read(p []byte) (n int, err error) {
	cause := c.wait("Conn.Read", (*readSide)(c), func() { n, err = c.Conn.Read(p) })
	if cause != nil {
		c.Conn.SetReadDeadline(c.read)
		if n == 0 {
			err = cause
		} else {
			err = nil
		}
	}
	return n, err
}

// Write is that of a [net.Conn].
func (c *conn) Write(p []byte) (n int, err error) {
	cause := c.wait("Conn.Write", (*writeSide)(c), func() { n, err = c.Conn.Write(p) })
	if cause != nil {
		c.Conn.SetWriteDeadline(c.written)
		if err != nil || n < len(p) {
			err = cause
		}
	}
	return n, err
}

// wait calls fn outside of the loop, with stop to end it, and returns the cause if the context ended before or
// meanwhile.
func (c *conn) wait(op string, stop interrupter, fn func()) error {
	return blockUntil(c.ctx, op, stop, fn)
}

// blockUntil calls fn outside of the loop. If ctx ends before, fn is not called; if it ends
// meanwhile, stop is called. In both cases it returns the cause.
func blockUntil(ctx context.Context, op string, stop interrupter, fn func()) error {
	c, err := awaits(ctx, op)
	if err != nil {
		return err
	}
	if c.foreign != nil {
		stopped := make(chan struct{})
		detach := context.AfterFunc(c.foreign, func() { stop.interrupt(); close(stopped) })
		c.task.leave(nil, nil, func() {
			defer func() {
				if !detach() {
					<-stopped
				}
			}()
			fn()
		})
	} else {
		c.task.leave(c.in, stop, fn)
	}
	return c.ended()
}

// SetDeadline is that of a [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.read, c.written = t, t
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is that of a [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is that of a [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.written = t
	return c.Conn.SetWriteDeadline(t)
}

// Dial connects to an address, like [net.Dialer.DialContext], while other coroutines run. What it returns is a [Conn]
// of the calling coroutine.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := Block(ctx, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, err
	}
	return Conn(ctx, c), nil
}

// Serve accepts connections and handles each in a coroutine of its own, with a [Conn] of that coroutine, which is closed
// when handle returns. It goes on until ctx ends or the listener fails, closes the listener, cancels those that
// are being handled and waits for them, and returns the cause, or the listener's error. When there are too many open
// files it tries again after a while.
//
// A panic in handle ends its connection and no other; it is logged with package slog. To bound the number of
// connections have handle acquire a [Semaphore].
func Serve(ctx context.Context, listener net.Listener, handle func(ctx context.Context, c net.Conn)) error {
	if listener == nil || handle == nil {
		panic("loop: Serve with a nil listener or function")
	}
	defer listener.Close()
	return WithGroup(ctx, func(ctx context.Context, g *Group) error {
		for pause := time.Duration(0); ; {
			var c net.Conn
			var err error
			if cause := blockUntil(ctx, "Serve", closing{listener}, func() { c, err = listener.Accept() }); cause != nil {
				if c != nil {
					c.Close()
				}
				return cause
			}
			if err != nil {
				if !temporary(err) {
					return err
				}
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				slog.Warn("loop: cannot accept a connection, trying again", "address", listener.Addr(), "in", pause, "error", err)
				if err := Sleep(ctx, pause); err != nil {
					return err
				}
				continue
			}
			pause = 0
			g.spawn(&connection{c, handle}, entry(handle))
		}
	})
}

// closing interrupts an Accept.
type closing struct{ net.Listener }

func (c closing) interrupt() { c.Close() }

// temporary reports whether Accept may succeed later, as with too many open files.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// connection is a connection that is handled.
type connection struct {
	net.Conn
	handle func(context.Context, net.Conn)
}

func (c *connection) call(ctx context.Context) error {
	defer c.Close()
	defer func() {
		if v := recover(); v != nil {
			err := concert.NewPanicError(v)
			slog.Error("loop: the handler of a connection panicked", "from", c.RemoteAddr(), "error", err, "stack", err.Stack())
		}
	}()
	c.handle(ctx, Conn(ctx, c.Conn))
	return nil
}

func (c *connection) drop() { c.Close() }
