// Package lazy has the part of a task's context that costs nothing until
// somebody asks for it.
package lazy

import (
	"context"
	"sync/atomic"
)

// Context is to be a field in the context of a task. Values and deadline are
// the parent's. The first Done makes a standard cancel context inside; from then on Value goes through it,
// which is how package context finds it: children attach to it without a
// goroutine, and Cause works.
//
// Whoever has it knows when the context is over, and says so first and calls
// End second; Done looks whether it is over last. So a Done that races
// with the end is seen by End, or sees the end itself.
type Context struct {
	Parent context.Context
	inner  atomic.Pointer[cancelContext]
}

// cancelContext is a cancel context and its cancel function in one object.
type cancelContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// Cancel cancels the context with a cause.
func (c *Context) Cancel(cause error) { c.open().cancel(cause) }

// open returns the inner context, making it if need be.
func (c *Context) open() *cancelContext {
	if in := c.inner.Load(); in != nil {
		return in
	}
	ctx, cancel := context.WithCancelCause(c.Parent)
	in := &cancelContext{ctx, cancel}
	if !c.inner.CompareAndSwap(nil, in) {
		cancel(nil) // lost the race: detach from the parent again
		return c.inner.Load()
	}
	return in
}

// Opened reports whether anyone has asked for Done.
func (c *Context) Opened() bool { return c.inner.Load() != nil }

// End cancels the context, once it is over.
func (c *Context) End() {
	if in := c.inner.Load(); in != nil {
		in.cancel(nil)
	}
}

// Done is the Done of the context; over says whether the task has ended.
func (c *Context) Done(over func() bool) <-chan struct{} {
	in := c.open()
	if over() {
		in.cancel(nil)
	}
	return in.Done()
}

// Err is the Err of the context, of a task that is over or not.
func (c *Context) Err(over bool) error {
	if in := c.inner.Load(); in != nil {
		return in.Err()
	}
	if err := c.Parent.Err(); err != nil || !over {
		return err
	}
	return context.Canceled
}

// Value is the Value of the context.
func (c *Context) Value(key any) any {
	if in := c.inner.Load(); in != nil {
		return in.Value(key)
	}
	return c.Parent.Value(key)
}
