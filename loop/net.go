package loop

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"concert"
)

// Conn returns c as the calling coroutine uses it: a Read and a Write let other
// coroutines run while they wait, and end when ctx does, with its cause. So
// whatever reads from a [net.Conn] can be used in a coroutine, package bufio
// and encoding/json for example, unless it does so on goroutines of its own, as
// an http.Client does: that is for [Block]. It is for the coroutine to which
// ctx belongs; another makes a Conn of its own, from c or from this one. One
// coroutine at a time may read, and one write. Close may be called by anybody;
// one that may take its time, as that of a TLS connection, is better called in
// [Block].
//
// A Read or Write that has ended with ctx leaves c usable: with another
// context, a timeout of one request say, it goes on. What a Read had got by
// then is returned, and no error. A Write that ended may have written part.
// Deadlines are set through this Conn, or not at all, as it needs those of c
// itself.
func Conn(ctx context.Context, c net.Conn) net.Conn {
	var set *deadlines
	if view, ok := c.(*conn); ok {
		c, set = view.Conn, view.deadlines
	}
	return &conn{Conn: c, blocker: blockerOf(callerOf(ctx, opConn)), deadlines: set}
}

// conn is a Conn. Its fields belong to its coroutine. An idle connection is to
// need little: a Read has few and small frames on the stack, so that a
// goroutine's first two kilobytes are enough.
type conn struct {
	net.Conn
	blocker
	deadlines *deadlines // that the user has set, or nil
}

type deadlines struct{ read, write time.Time }

// past is a deadline that ends what goes on.
var pastDeadline = time.Unix(1, 0)

// readSide and writeSide are what a cancellation acts on.
type (
	readSide  conn
	writeSide conn
)

func (c *readSide) interrupt()  { c.Conn.SetReadDeadline(pastDeadline) }
func (c *writeSide) interrupt() { c.Conn.SetWriteDeadline(pastDeadline) }

// Read is that of a [net.Conn].
func (c *conn) Read(p []byte) (n int, err error) {
	if err := c.start(opConnRead, (*readSide)(c)); err != nil {
		return 0, err
	}
	defer c.endRead(&n, &err)
	return c.Conn.Read(p)
}

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

// Write is that of a [net.Conn].
func (c *conn) Write(p []byte) (n int, err error) {
	if err := c.start(opConnWrite, (*writeSide)(c)); err != nil {
		return 0, err
	}
	defer c.endWrite(len(p), &n, &err)
	return c.Conn.Write(p)
}

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

func (c *conn) userDeadlines() deadlines {
	if c.deadlines == nil {
		return deadlines{}
	}
	return *c.deadlines
}

// SetDeadline is that of a [net.Conn].
func (c *conn) SetDeadline(t time.Time) error {
	c.deadlines = &deadlines{t, t}
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is that of a [net.Conn].
func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadlines = &deadlines{t, c.userDeadlines().write}
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is that of a [net.Conn].
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.deadlines = &deadlines{c.userDeadlines().read, t}
	return c.Conn.SetWriteDeadline(t)
}

// Dial connects to an address, like net.Dialer.DialContext, while other
// coroutines run. It returns a [Conn] of the calling coroutine.
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

// Serve accepts connections and calls handle for each in a coroutine of its
// own, with a [Conn] of that coroutine, which is closed when handle returns. It
// continues until ctx ends or the listener fails. Then it closes the listener,
// cancels the running handlers, waits for them, and returns the cause of ctx or
// the listener's error. If there are too many open files, it tries again after
// a pause.
//
// A panic in handle ends its connection only, and is logged with package slog.
// To limit the number of connections, let handle acquire a [Semaphore].
func Serve(ctx context.Context, listener net.Listener, handle func(ctx context.Context, c net.Conn)) error {
	if listener == nil || handle == nil {
		panic("loop: Serve with a nil listener or function")
	}
	return WithGroup(ctx, func(ctx context.Context, g *Group) error {
		defer listener.Close() // before those who are handled are waited for
		for pause := time.Duration(0); ; {
			c, err := accept(ctx, listener)
			if err != nil {
				if ctx.Err() != nil || !temporary(err) {
					return err
				}
				pause = min(max(2*pause, 5*time.Millisecond), time.Second)
				logOnGoroutine(slog.Warn, "loop: cannot accept a connection, trying again", "address", listener.Addr(), "in", pause, "error", err)
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

// closing interrupts an Accept.
type listenerCloser struct{ net.Listener }

func (c listenerCloser) interrupt() { c.Close() }

// temporary reports whether Accept may succeed later, as with too many open
// files.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary() && !errors.Is(err, net.ErrClosed)
}

// connection is a connection that is handled, by a coroutine of its own.
type servedConn struct {
	conn
	handle func(context.Context, net.Conn)
}

func (c *servedConn) call(ctx context.Context) error {
	c.blocker = blockerOf(callerOf(ctx, opServe))
	c.handle(ctx, &c.conn)
	return nil
}

func (c *servedConn) finish(t *Task, err error) {
	switch c.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
		c.Close()
	default: // TLS says goodbye, and the other side may not listen
		t.leaveLoop(opServe, nil, nil)
		c.Close()
		t.reenterLoop()
	}
	if e, ok := err.(*concert.PanicError); ok {
		logOnGoroutine(slog.Error, "loop: the handler of a connection panicked", "from", c.RemoteAddr(), "error", concert.ErrorText(e), "stack", e.Stack())
	}
}

// logApart logs on another goroutine, since the handler of slog is the
// program's, and waits for it for a second at most.
func logOnGoroutine(log func(string, ...any), text string, args ...any) {
	concert.CallApart(maxMethodTime, func() bool { log(text, args...); return true })
}
