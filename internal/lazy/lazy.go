// Package lazy has the part of a task's context that costs nothing until it is
// used.
package lazy

import (
	"context"
	"sync/atomic"
	"time"
)

// Context is to be a field in the context of a task. Values and deadline are
// the parent's. The first Done makes a standard cancel context inside. Package
// context finds that by Value, so children attach to it without a goroutine,
// and Cause works.
//
// The owner knows when the context is over. It first makes that visible and
// then calls End; Done looks last whether the context is over. So End sees a
// Done that races with the end, or that Done sees the end.
//
// Tasks that submit tasks make long chains of contexts. Opening a context
// opens those above it, and keeps what would otherwise be asked of each of
// them: the deadline, and the source of values. So none of the methods of an
// open Context takes longer in a long chain. Those of one that is not open ask
// the parent.
type Context struct {
	Parent context.Context
	inner  atomic.Pointer[cancelContext]
}

// Link is a context that has values from another one only, or answers for
// every key that it knows before it asks the parent.
type Link interface {
	context.Context
	// Source returns the nearest context above that is not a Link, or nil
	// if that is not known without asking the parent.
	Source() context.Context
}

// cancelContext is a cancel context and its cancel function in one object.
type cancelContext struct {
	context.Context
	cancel      context.CancelCauseFunc
	source      context.Context // of values
	deadline    time.Time
	hasDeadline bool
}

// Cancel cancels the context with a cause.
func (c *Context) Cancel(cause error) { c.open().cancel(cause) }

// open returns the inner context, making it if need be.
func (c *Context) open() *cancelContext {
	if in := c.inner.Load(); in != nil {
		return in
	}
	ctx, cancel := context.WithCancelCause(c.Parent) // asks the parent for its Done, which opens it
	in := &cancelContext{Context: ctx, cancel: cancel, source: SourceOf(c.Parent)}
	in.deadline, in.hasDeadline = c.Parent.Deadline()
	if !c.inner.CompareAndSwap(nil, in) {
		cancel(nil) // lost the race: detach from the parent again
		return c.inner.Load()
	}
	return in
}

// Opened reports whether Done has been called.
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

// Deadline is the Deadline of the context.
func (c *Context) Deadline() (time.Time, bool) {
	if in := c.inner.Load(); in != nil {
		return in.deadline, in.hasDeadline
	}
	return c.Parent.Deadline()
}

// Value is the Value of the context.
func (c *Context) Value(key any) any {
	in := c.inner.Load()
	switch {
	case in == nil:
		return c.Parent.Value(key)
	case IsCancelKey(key):
		return in.Value(key)
	}
	return in.source.Value(key)
}

// Source is for the context of which this one is a field, if that is a Link.
func (c *Context) Source() context.Context {
	if in := c.inner.Load(); in != nil {
		return in.source
	}
	return nil
}

// SourceOf returns the context from which one made of parent has its values.
func SourceOf(parent context.Context) context.Context {
	if l, ok := parent.(Link); ok {
		if s := l.Source(); s != nil {
			return s
		}
	}
	return parent
}

// IsCancelKey reports whether the key is the one by which package context asks
// a context for the cancel context in it. If that package no longer has such a
// key, it reports true for every key: then every Value goes through the inner
// context, as that package does it.
func IsCancelKey(key any) bool { return cancelKey == nil || key == cancelKey }

var cancelKey = func() any {
	r := &recorder{done: make(chan struct{})}
	_, cancel := context.WithCancel(r)
	cancel()
	return r.key
}()

// recorder is a context that notes for which key it is asked.
type recorder struct {
	done chan struct{}
	key  any
}

// Deadline reports that there is none.
func (r *recorder) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns a channel that is never closed.
func (r *recorder) Done() <-chan struct{} { return r.done }

// Err returns nil.
func (r *recorder) Err() error { return nil }

// Value notes the key.
func (r *recorder) Value(key any) any {
	r.key = key
	return nil
}
