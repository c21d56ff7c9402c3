package concert

import (
	"context"
	"sync/atomic"
)

// lazyContext is the part of a task's context that costs nothing until
// somebody asks for it. Values and deadline are the parent's. The first Done
// makes a standard cancel context inside; from then on Value goes through it,
// which is how package context finds it: children attach to it without a
// goroutine, and Cause works.
//
// Whoever embeds it knows when the context is over, and says so first and
// calls end second; done looks whether it is over last. So a Done that races
// with the end is seen by end, or sees the end itself.
type lazyContext struct {
	parent context.Context
	inner  atomic.Pointer[cancelContext]
}

// cancelContext is a cancel context and its cancel function in one object.
type cancelContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// open returns the inner context, making it if need be.
func (c *lazyContext) open() *cancelContext {
	if in := c.inner.Load(); in != nil {
		return in
	}
	ctx, cancel := context.WithCancelCause(c.parent)
	in := &cancelContext{ctx, cancel}
	if !c.inner.CompareAndSwap(nil, in) {
		cancel(nil) // lost the race: detach from the parent again
		return c.inner.Load()
	}
	return in
}

// opened reports whether anyone has asked for Done.
func (c *lazyContext) opened() bool { return c.inner.Load() != nil }

// end cancels the context, once it is over.
func (c *lazyContext) end() {
	if in := c.inner.Load(); in != nil {
		in.cancel(nil)
	}
}

func (c *lazyContext) done(over func() bool) <-chan struct{} {
	in := c.open()
	if over() {
		in.cancel(nil)
	}
	return in.Done()
}

func (c *lazyContext) err(over bool) error {
	if in := c.inner.Load(); in != nil {
		return in.Err()
	}
	if err := c.parent.Err(); err != nil || !over {
		return err
	}
	return context.Canceled
}

func (c *lazyContext) value(key any) any {
	if in := c.inner.Load(); in != nil {
		return in.Value(key)
	}
	return c.parent.Value(key)
}
