// Package lazy implements contexts of tasks that can be canceled. This costs
// nothing until the task calls Done.
package lazy

import (
	"context"
	"reflect"
	"sync/atomic"
	"time"
)

// Context is a field of the context of a task. It has the values and the
// deadline of the parent. The first call of Done opens the Context: it creates
// a cancel context of package context. Package context finds the cancel context
// by Value. So children attach to the cancel context without a goroutine, and
// Cause works.
//
// When the task has ended, the owner of the context first stores that the
// context is over, and then calls End. Done first creates the cancel context,
// and then checks whether the context is over. So either End finds the cancel
// context, or Done finds that the context is over.
//
// Tasks that submit tasks make long chains of contexts. Opening a context also
// opens its parents. The opened context stores the deadline and the source of
// values, which it would otherwise look up in all parents. So the methods of an
// open Context take the same time in a chain of any length. A Context that is
// not open calls the methods of its parent.
type Context struct {
	Parent context.Context
	inner  atomic.Pointer[cancelContext]
}

// Link is a context that has no values of its own, or that checks its own keys
// before it calls the parent.
type Link interface {
	context.Context
	// Source returns the nearest parent, or parent of a parent, that is not a
	// Link. If Source can find this context only by calling a method of the
	// parent, it returns nil.
	Source() context.Context
}

// cancelContext has a cancel context and its cancel function.
type cancelContext struct {
	context.Context
	cancel      context.CancelCauseFunc
	source      context.Context // the context that has the values
	deadline    time.Time
	hasDeadline bool
}

// Cancel cancels the context with a cause.
func (c *Context) Cancel(cause error) { c.open().cancel(cause) }

// open returns the cancel context, and creates it if necessary.
func (c *Context) open() *cancelContext {
	if in := c.inner.Load(); in != nil {
		return in
	}
	ctx, cancel := context.WithCancelCause(c.Parent) // calls Done of the parent, which opens the parent
	in := &cancelContext{Context: ctx, cancel: cancel, source: SourceOf(c.Parent)}
	in.deadline, in.hasDeadline = c.Parent.Deadline()
	if !c.inner.CompareAndSwap(nil, in) {
		cancel(nil) // another goroutine was faster: detach ctx from the parent
		return c.inner.Load()
	}
	return in
}

// Opened reports whether Done has been called.
func (c *Context) Opened() bool { return c.inner.Load() != nil }

// End cancels the context after its task has ended.
func (c *Context) End() {
	if in := c.inner.Load(); in != nil {
		in.cancel(nil)
	}
}

// Done returns the Done channel of the context. The function over reports
// whether the task has ended.
func (c *Context) Done(over func() bool) <-chan struct{} {
	in := c.open()
	if over() {
		in.cancel(nil)
	}
	return in.Done()
}

// Err returns the error of the context. The parameter over is true if the
// task has ended.
func (c *Context) Err(over bool) error {
	if in := c.inner.Load(); in != nil {
		return in.Err()
	}
	if err := c.Parent.Err(); err != nil || !over {
		return err
	}
	return context.Canceled
}

// Deadline returns the deadline of the context.
func (c *Context) Deadline() (time.Time, bool) {
	if in := c.inner.Load(); in != nil {
		return in.deadline, in.hasDeadline
	}
	return c.Parent.Deadline()
}

// Value returns a value of the context.
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

// Source returns the context in which children look up their values, or nil if
// the Context has not been opened. A context with a field of type Context calls
// the Source of this field in its own method Source, which implements Link.
func (c *Context) Source() context.Context {
	if in := c.inner.Load(); in != nil {
		return in.source
	}
	return nil
}

// SourceOf returns the context in which a child of parent looks up its values.
func SourceOf(parent context.Context) context.Context {
	if l, ok := parent.(Link); ok {
		if s := l.Source(); s != nil {
			return s
		}
	}
	return parent
}

// IsCancelKey reports whether package context uses the key to find the cancel
// context of a context. If a version of package context has no such key,
// IsCancelKey reports true for every key, so that the cancel context answers
// all calls of Value.
func IsCancelKey(key any) bool { return cancelKey == nil || key == cancelKey }

var cancelKey = func() any {
	r := &recorder{done: make(chan struct{})}
	_, cancel := context.WithCancel(r)
	cancel()
	return r.key
}()

// StandardOf returns a cancel context of package context that ends at the
// same time as ctx: their Done channels are equal. It returns nil if there
// is none. The parameter done is the result of ctx.Done. StandardOf calls
// ctx.Value. A context that is derived from the returned cancel context
// calls no method of ctx.
func StandardOf(ctx context.Context, done <-chan struct{}) context.Context {
	if done == nil || cancelKey == nil {
		return nil
	}
	c, _ := ctx.Value(cancelKey).(context.Context)
	if reflect.TypeOf(c) != cancelType || c.Done() != done {
		return nil
	}
	return c
}

// cancelType is the type of the cancel contexts of package context.
var cancelType = func() reflect.Type {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return reflect.TypeOf(ctx)
}()

// recorder is a context that records the key with which Value is called.
type recorder struct {
	done chan struct{}
	key  any
}

// Deadline returns no deadline.
func (r *recorder) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done returns a channel that is never closed.
func (r *recorder) Done() <-chan struct{} { return r.done }

// Err returns nil.
func (r *recorder) Err() error { return nil }

// Value records the key.
func (r *recorder) Value(key any) any {
	r.key = key
	return nil
}
