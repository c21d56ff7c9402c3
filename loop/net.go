package loop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"concert"
	"concert/executor"
)

// Conn returns c for use by the calling coroutine. While a Read or a Write
// waits, other coroutines run. A Read or a Write ends when ctx ends, with the
// cause of ctx. So packages that use a [net.Conn], such as bufio and
// encoding/json, can be used in a coroutine. For a package that uses the
// connection on other goroutines, such as http.Client, use [Block].
//
// The result belongs to the coroutine of ctx. Another coroutine must make a
// Conn of its own, from c or from the result. At the same time, at most one
// coroutine may read, and at most one may write. Any goroutine may call
// Close. If Close may block, as for a TLS connection, call it in [Block].
//
// If ctx ends during a Read or a Write, c stays usable with another context.
// A Read that has already received bytes returns them without an error. A
// Write may have written only a part of its bytes. Set deadlines only
// through the result: the result uses the deadlines of c for its own
// purposes.
func Conn(ctx context.Context, c net.Conn) net.Conn {
	var set *deadlines
	if view, ok := c.(*conn); ok {
		c, set = view.Conn, view.deadlines
	}
	return &conn{Conn: c, blocker: blockerOf(callerOf(ctx, opConn)), deadlines: set}
}

// conn is the connection that Conn returns. Only its coroutine uses the fields.
// An idle connection should need little memory. So a Read has few and small
// stack frames, which fit into the initial stack of a goroutine, 2 kilobytes.
type conn struct {
	net.Conn
	blocker
	deadlines *deadlines // the deadlines that the program has set; nil if there are none
}

type deadlines struct{ read, write time.Time }

// pastDeadline is a time in the past. As a deadline, it ends a Read or a Write.
var pastDeadline = time.Unix(1, 0)

// readSide and writeSide interrupt a Read and a Write.
type (
	readSide  conn
	writeSide conn
)

func (c *readSide) interrupt()  { c.Conn.SetReadDeadline(pastDeadline) }
func (c *writeSide) interrupt() { c.Conn.SetWriteDeadline(pastDeadline) }

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (n int, err error) {
	if err := c.start(opConnRead, (*readSide)(c)); err != nil {
		return 0, err
	}
	defer c.endRead(&n, &err)
	return c.Conn.Read(p)
}

// endRead reenters the loop after a Read. If ctx has ended, it restores the
// deadline, and returns the cause unless bytes were received.
func (c *conn) endRead(n *int, err *error) {
	cause := c.end()
	if cause == nil {
		return
	}
	c.Conn.SetReadDeadline(c.userDeadlines().read)
	if *err = cause; *n > 0 {
		*err = nil
	}
}

// Write implements [net.Conn].
func (c *conn) Write(p []byte) (n int, err error) {
	if err := c.start(opConnWrite, (*writeSide)(c)); err != nil {
		return 0, err
	}
	defer c.endWrite(len(p), &n, &err)
	return c.Conn.Write(p)
}

// endWrite reenters the loop after a Write. The parameter all is the number
// of bytes in the argument of Write. If ctx has ended, endWrite restores the
// deadline, and returns the cause unless all bytes were written.
func (c *conn) endWrite(all int, n *int, err *error) {
	cause := c.end()
	if cause == nil {
		return
	}
	c.Conn.SetWriteDeadline(c.userDeadlines().write)
	if *n < all {
		*err = cause
	}
}

// userDeadlines returns the deadlines that the program has set.
func (c *conn) userDeadlines() deadlines {
	if c.deadlines == nil {
		return deadlines{}
	}
	return *c.deadlines
}

// SetDeadline implements [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.deadlines = &deadlines{t, t}
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadlines = &deadlines{t, c.userDeadlines().write}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.deadlines = &deadlines{c.userDeadlines().read, t}
	return c.Conn.SetWriteDeadline(t)
}

// Dial connects to an address, like net.Dialer.DialContext, while other
// coroutines run. It returns a [Conn] for the calling coroutine.
func Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := Block(ctx, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, err
	}
	return Conn(ctx, c), nil
}

// Serve accepts connections. For each connection, it calls handle in a new
// coroutine, with a [Conn] that belongs to this coroutine. Serve closes the
// connection when handle returns. Serve continues until ctx ends or the
// listener fails. Then it closes the listener, cancels the running handlers,
// waits for them, and returns the cause of ctx or the error of the listener.
// If Accept fails because of too many open files, Serve tries again after a
// pause.
//
// A panic in handle ends only its own connection, and is logged with package
// slog. To limit the number of connections, let handle acquire a [Semaphore].
func Serve(ctx context.Context, listener net.Listener, handle func(ctx context.Context, c net.Conn)) error {
	if listener == nil || handle == nil {
		panic("loop: Serve called with a nil listener or function")
	}
	return WithGroup(ctx, func(ctx context.Context, g *Group) error {
		defer listener.Close() // runs before WithGroup waits for the handlers
		for pause := time.Duration(0); ; {
			c, err := accept(ctx, listener)
			if err != nil {
				if ctx.Err() != nil || !temporary(err) {
					return err
				}
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				logOnGoroutine(slog.Warn, "loop: cannot accept a connection, trying again after a pause", "address", listener.Addr(), "in", pause, "error", err)
				if err := Sleep(ctx, pause); err != nil {
					return err
				}
				continue
			}
			pause = 0
			g.spawn(&servedConn{conn{Conn: c}, handle}, codePointer(handle), 0).isolated = true
		}
	})
}

// accept accepts a connection. Other coroutines run in the meantime.
func accept(ctx context.Context, listener net.Listener) (c net.Conn, err error) {
	b := blockerOf(callerOf(ctx, opServe))
	if err := b.start(opServe, listenerCloser{listener}); err != nil {
		return nil, err
	}
	defer func() {
		if cause := b.end(); cause != nil {
			if c != nil {
				c.Close()
			}
			c, err = nil, cause
		}
	}()
	return listener.Accept()
}

// listenerCloser interrupts an Accept by closing the listener.
type listenerCloser struct{ net.Listener }

func (c listenerCloser) interrupt() { c.Close() }

// temporary reports whether Accept may succeed later. An example is an error
// because of too many open files.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// servedConn is the body of the coroutine that handles a connection.
type servedConn struct {
	conn
	handle func(context.Context, net.Conn)
}

func (c *servedConn) call(ctx context.Context) error {
	c.blocker = blockerOf(callerOf(ctx, opServe))
	c.handle(ctx, &c.conn)
	return nil
}

// finish closes the connection, and logs a panic of the handler.
func (c *servedConn) finish(t *Task, err error) {
	switch c.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.Close()
	default: // Close may block: TLS sends a message to the peer
		t.leaveLoop(opServe, nil, nil)
		c.Close()
		t.reenterLoop()
	}
	if e, ok := err.(*concert.PanicError); ok {
		logOnGoroutine(slog.Error, "loop: handler of a connection panicked", "from", c.RemoteAddr(), "error", executor.ErrorText(e), "stack", e.Stack())
	}
}

// logOnGoroutine logs on another goroutine, and waits at most maxMethodTime for
// its end, because the handler of slog is code of the program.
func logOnGoroutine(log func(string, ...any), text string, args ...any) {
	executor.CallIsolated(maxMethodTime, func() bool { log(text, args...); return true })
}
