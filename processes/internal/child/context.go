package child

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// callContext is the context of a call in a worker. If no code has called
// Done, the next call gets the same context. A goroutine that the first call
// has started may then still run. If it calls Err, it receives the state of
// the second call.
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

// end ends the context after its call has ended.
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

// limit is the parent of the context of a call, with the deadline of the
// frame's calls. When the pool reports that the call has exceeded its time,
// limit.expire ends the limit. After that, Err returns
// [context.DeadlineExceeded]. A context of package context cannot do this:
// after a cancellation, its Err returns [context.Canceled].
type limit struct {
	context.Context // of the frame
	mu              sync.Mutex
	passed          atomic.Bool // written under mu
	ends            []func()    // guarded by mu: functions that end the derived contexts
}

// expire ends the context and the contexts derived from it.
func (l *limit) expire() {
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

// Done implements [context.Context]. If the context ends after the call of
// Done, the channel stays open. Package context does not need the channel,
// because it calls AfterFunc.
func (l *limit) Done() <-chan struct{} {
	if l.Err() != nil {
		return always
	}
	return never
}

// AfterFunc makes the end of the limit call the function end. Package
// context calls AfterFunc to end derived contexts.
func (l *limit) AfterFunc(end func()) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.passed.Load() {
		go end() // the caller holds a lock that end acquires
		return func() bool { return false }
	}
	l.ends = append(l.ends, end)
	if l.Context.Done() == nil {
		return func() bool { return true }
	}
	return context.AfterFunc(l.Context, end)
}
