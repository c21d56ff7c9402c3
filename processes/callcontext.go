package processes

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// callContext is the context of a call in a worker. One that nobody has asked
// for its Done goes on to the next call: only a goroutine that a call leaves
// behind could tell, by its Err.
type callContext struct {
	lazy  lazy.Context // its parent is limit
	limit limit
	over  atomic.Bool
}

func newCallContext(parent context.Context) *callContext {
	c := new(callContext)
	c.limit.Context = parent
	c.lazy.Parent = &c.limit
	return c
}

// end says that the call has ended.
func (c *callContext) end() {
	c.over.Store(true)
	c.lazy.End()
}

// Deadline returns the deadline of the call's frame.
func (c *callContext) Deadline() (time.Time, bool) { return c.limit.Deadline() }

// Done returns a channel that is closed when the call ends or is canceled.
func (c *callContext) Done() <-chan struct{} { return c.lazy.Done(c.over.Load) }

// Err returns why the context has ended, or nil.
func (c *callContext) Err() error { return c.lazy.Err(c.over.Load()) }

// Value returns the value of the frame's context.
func (c *callContext) Value(key any) any { return c.lazy.Value(key) }

// limit is the parent of the context of a call. It has the deadline of the
// calls of a frame, and ends as one whose deadline passes when the pool says
// that the time of the call is over. (A context of package context can be
// canceled from outside, and then its Err is [context.Canceled].)
type limit struct {
	context.Context // of the frame
	mu              sync.Mutex
	passed          atomic.Bool // written under mu
	ends            []func()    // guarded by mu: of the contexts below, in this package one
}

// pass ends the context and those below.
func (l *limit) pass() {
	l.mu.Lock()
	l.passed.Store(true)
	ends := l.ends
	l.ends = nil
	l.mu.Unlock()
	for _, end := range ends {
		end()
	}
}

// Err implements [context.Context].
func (l *limit) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if l.passed.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

var (
	never  = make(chan struct{})
	always = make(chan struct{})
)

func init() { close(always) }

// Done is for package context, which asks AfterFunc when it finds the context
// alive.
func (l *limit) Done() <-chan struct{} {
	if l.Err() != nil {
		return always
	}
	return never
}

// AfterFunc is how package context ends the contexts below.
func (l *limit) AfterFunc(end func()) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.passed.Load() {
		go end() // not here: the caller holds a lock that it takes
		return func() bool { return false }
	}
	l.ends = append(l.ends, end)
	if l.Context.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(l.Context, end)
}
