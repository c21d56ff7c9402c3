package processes

import (
	"context"
	"sync/atomic"
	"time"
)

// callContext is the context of a call in a worker. Until somebody asks for
// its Done it costs only itself.
type callContext struct {
	base     context.Context
	deadline time.Time // zero for none
	over     atomic.Bool
	inner    atomic.Pointer[innerContext]
}

// innerContext is a standard context that ends with the call.
type innerContext struct {
	context.Context
	cancel context.CancelCauseFunc
	stop   context.CancelFunc // of the deadline
}

// open returns the inner context, making it if need be.
func (c *callContext) open() *innerContext {
	if in := c.inner.Load(); in != nil {
		return in
	}
	parent, stop := c.base, context.CancelFunc(func() {})
	if !c.deadline.IsZero() {
		parent, stop = context.WithDeadline(c.base, c.deadline)
	}
	ctx, cancel := context.WithCancelCause(parent)
	in := &innerContext{ctx, cancel, stop}
	if !c.inner.CompareAndSwap(nil, in) {
		cancel(nil)
		stop()
		return c.inner.Load()
	}
	if c.over.Load() {
		in.end(nil)
	}
	return in
}

func (in *innerContext) end(cause error) {
	in.cancel(cause)
	in.stop()
}

// cancel ends the context while the call runs.
func (c *callContext) cancel(cause error) { c.open().cancel(cause) }

// fresh reports whether the context can serve another call: it has no deadline,
// and nobody has asked for its Done.
func (c *callContext) fresh() bool { return c.deadline.IsZero() && c.inner.Load() == nil }

// end says that the call has ended.
func (c *callContext) end() {
	c.over.Store(true)
	if in := c.inner.Load(); in != nil {
		in.end(nil)
	}
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *callContext) Done() <-chan struct{} { return c.open().Done() }

func (c *callContext) Err() error {
	if in := c.inner.Load(); in != nil {
		return in.Err()
	}
	switch {
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		return context.DeadlineExceeded
	case c.over.Load():
		return context.Canceled
	}
	return nil
}

func (c *callContext) Value(key any) any {
	if in := c.inner.Load(); in != nil {
		return in.Value(key) // package context finds it there, and children attach to it
	}
	return c.base.Value(key)
}
