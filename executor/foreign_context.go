package executor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"concert/internal/lazy"
)

// A program may implement context.Context with a type of its own. The
// methods of such a foreign context may panic, end their goroutine or never
// return. But executors call methods of tasks' contexts under locks, and on
// goroutines that other tasks need. Package context calls these methods,
// too: when a derived context is made or canceled, and on separate
// goroutines.
//
// So a foreignContext replaces each foreign context, before another goroutine
// can find it. These places replace contexts:
//
//	Submit, TrySubmit, Relay, Go   the context of the task (replaceForeign)
//	Map                            the context of the Map (newMapRun)
//	package loop                   the contexts of coroutines (Isolate)
//	waits of tasks                 see newWait
//
// So package context never has a foreign context as the parent of a context
// that belongs to a task. A context of a task, or of an item of a Map, is not
// foreign, and neither are its parents.

// foreignContext replaces a context of the program's own type. Its methods call
// no method of the replaced context, with one exception: for a key of the
// program, Value calls Value of the replaced context.
type foreignContext struct {
	context.Context                 // ends when the replaced context ends; has no values
	values          context.Context // the replaced context
	done            <-chan struct{} // Done of the replaced context; may be nil
	deadline        time.Time
	hasDeadline     bool
	captured        []any  // the values for capturedKeys that the context had when it was replaced
	stop            func() // ends the context, and the goroutine that waits for done
}

// capturedKeys are the keys whose values executors and waits look up in the
// contexts of tasks.
var capturedKeys = []any{workerKey{}, ownKey{}, releaserKey{}, numberKey{}, labelKey{}}

// CaptureValue adds a key of context values that an executor looks up in the
// contexts of tasks, under locks or on goroutines that other tasks need. The
// context of a task then has the value that the submitter's context has at the
// Submit or Map: later lookups do not call the Value method of a context type
// of the program. Call CaptureValue only while packages are initialized.
func CaptureValue(key any) { capturedKeys = append(capturedKeys, key) }

// endTime is the maximum time that the methods of the replaced context may
// take to report how it has ended.
const endTime = 100 * time.Millisecond

// Isolate returns ctx, or a context that replaces ctx if the type of ctx, or of
// a context that ctx wraps, belongs to the program. Methods of the replacement
// do not call methods of ctx, whose behavior is unknown. There is one
// exception: Value calls ctx.Value for a key that was not passed to
// [CaptureValue]. Call stop when the returned context is no longer used.
// Isolate is for code that calls methods of contexts on goroutines, or under
// locks, that other code needs. It blocks until methods of ctx have returned.
func Isolate(ctx context.Context) (isolated context.Context, stop func()) {
	if !foreign(ctx) {
		return ctx, func() {}
	}
	c := newForeignContext(ctx)
	return c, c.stop
}

// newForeignContext returns a foreignContext that replaces ctx. It calls
// methods of ctx on another goroutine and blocks until they return.
//
// Most foreign contexts embed a context of package context, and return its Done
// channel. Then the foreignContext is derived from the embedded context.
// Otherwise a goroutine waits until Done is closed, and then calls Err and
// context.Cause.
func newForeignContext(ctx context.Context) *foreignContext {
	// If a method fails, the values that were not captured yet are nil.
	c := &foreignContext{values: ctx, captured: make([]any, len(capturedKeys))}
	var standard context.Context
	ended := false
	failure := guarded(func() {
		c.deadline, c.hasDeadline = ctx.Deadline()
		for i, key := range capturedKeys {
			c.captured[i] = ctx.Value(key)
		}
		c.done = ctx.Done()
		if standard = lazy.StandardOf(ctx, c.done); standard == nil {
			ended = ctx.Err() != nil
		}
	})
	if failure == nil && standard != nil {
		inner, cancel := context.WithCancelCause(standard)
		c.Context, c.stop = inner, func() { cancel(nil) }
		return c
	}
	ending := lazy.NewEnding()
	inner, cancel := context.WithCancelCause(ending)
	c.Context, c.stop = inner, func() { cancel(nil) }
	switch {
	case failure != nil:
		ending.End(context.Canceled, contextFailure(ctx, failure))
	case ended:
		c.end(ending)
	case c.done != nil:
		stopped := make(chan struct{})
		c.stop = sync.OnceFunc(func() { close(stopped); cancel(nil) })
		go func() {
			select {
			case <-stopped:
			case <-c.done:
				c.end(ending)
			}
		}()
	}
	return c
}

// end ends the foreignContext with the error and the cause of the replaced
// context. If the methods of the replaced context do not return within
// endTime, the error is context.Canceled. endTime counts from the moment
// when the replaced context is done. So if many contexts end at the same
// time, these times pass concurrently: a goroutine that calls Err of all
// their replacements in turn waits for endTime only once.
func (c *foreignContext) end(ending *lazy.Ending) {
	type end struct{ err, cause error }
	e, failure := CallIsolated(endTime, func() end {
		err := c.values.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.DeadlineExceeded
		}
		return end{err, context.Cause(c.values)}
	})
	switch failure.(type) {
	case nil:
	case noReturnError:
		e = end{context.Canceled, nil}
	default:
		e = end{context.Canceled, contextFailure(c.values, failure)}
	}
	ending.End(e.err, e.cause)
}

// Deadline returns the deadline that the context had when it was replaced.
func (c *foreignContext) Deadline() (time.Time, bool) { return c.deadline, c.hasDeadline }

// Err returns the error of the embedded context. If the Done channel of the
// replaced context is closed, Err first waits until another goroutine has ended
// the embedded context. This goroutine belongs to package context, or calls
// foreignContext.end, which takes at most endTime. So an executor that calls
// Err before it starts a task never starts a task whose context has ended.
func (c *foreignContext) Err() error {
	select {
	case <-c.done:
		<-c.Context.Done()
	default:
	}
	return c.Context.Err()
}

// Value returns a captured value. For a key of the program, it returns the
// value of the replaced context.
func (c *foreignContext) Value(key any) any {
	if lazy.IsCancelKey(key) {
		if v := c.Context.Value(key); v != nil {
			return v
		}
	}
	for i, k := range capturedKeys {
		if k == key {
			return c.captured[i]
		}
	}
	return c.values.Value(key)
}

// contextFailure returns the error of a task whose context has a method that
// failed.
func contextFailure(ctx context.Context, failure error) error {
	return &methodError{fmt.Sprintf("concert: a method of the task's context (of type %T) %s", ctx, howFailed(failure)), failure}
}
