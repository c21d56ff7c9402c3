package executor

import (
	"context"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// This file has the contexts that this package makes for functions of tasks
// and for callbacks. It also has functions that examine the context of a
// submitter or a waiter: to which task and worker the context belongs, which
// Releaser it carries, and whether its type belongs to the program.

// context returns the context with which the task's function is called.
func (t *Task) context() context.Context { return (*taskContext)(t) }

// taskContext is a Task as the context of its own function. Its value for
// workerKey is the task, by which WorkerOf finds the worker. A taskContext has
// the values for the keys of this package, so that no search of the parent
// contexts is necessary.
type taskContext Task

// Deadline returns the deadline of the submitter's context.
func (c *taskContext) Deadline() (time.Time, bool) { return c.ctx.Deadline() }

// Done returns a channel that is closed when the task has settled, or is
// canceled.
func (c *taskContext) Done() <-chan struct{} { return c.ctx.Done((*Task)(c).Settled) }

// Err returns an error when the task has settled or is canceled.
func (c *taskContext) Err() error { return c.ctx.Err((*Task)(c).Settled()) }

// Value returns the values for this package's keys. For all other keys, it
// returns the value of the submitter's context.
func (c *taskContext) Value(key any) any {
	switch key {
	case workerKey{}, numberKey{}:
		return (*Task)(c)
	case ownKey{}:
		return c
	case releaserKey{}, labelKey{}:
		return nil // the parents' values belong to the submitter
	}
	return c.ctx.Value(key)
}

// Source implements lazy.Link.
func (c *taskContext) Source() context.Context { return c.ctx.Source() }

// String names the function of the task.
func (c *taskContext) String() string { return "concert.Task(" + (*Task)(c).Name() + ")" }

// workerKey is a context key: its value is the task, or the callbackContext of
// a callback, to which the context belongs.
type workerKey struct{}

// WorkerOf returns the worker that runs the task or the callback to which ctx
// belongs. It returns nil if ctx belongs to no task and no callback. It also
// returns nil if the task or the callback has ended, or does not run on a
// worker of this process.
func WorkerOf(ctx context.Context) *Worker {
	if s, _ := carrierOf(ctx); s != nil {
		return s.worker
	}
	return nil
}

// carrierOf returns the carrier and the task to which ctx belongs. It returns
// nil in the same cases as WorkerOf.
func carrierOf(ctx context.Context) (*carrier, *Task) {
	switch v := ctx.Value(workerKey{}).(type) {
	case *Task:
		if s := v.carrier.Load(); s != nil && v.state() == running {
			return s, v
		}
	case *callbackContext:
		if !v.over.Load() && v.carrier != nil {
			return v.carrier, v.task
		}
	}
	return nil, nil
}

// callbackContext is the context of a callback. It has the values of the
// context that was given to OnDone. While the callback runs, workerKey finds
// the carrier on whose goroutine it runs, if any. workerKey never finds the
// task or the carrier of the context that was given to OnDone.
type callbackContext struct {
	context.Context
	task    *Task
	carrier *carrier
	over    atomic.Bool
}

// Value returns c itself for the keys of the worker and of the context's owner,
// and values of the context that was given to OnDone for other keys.
func (c *callbackContext) Value(key any) any {
	switch key {
	case workerKey{}, ownKey{}:
		return c
	case releaserKey{}:
		return nil // the value belongs to the goroutine that called OnDone
	}
	return c.Context.Value(key)
}

// WithReleaser returns a context with a Releaser. Waits of this package with
// this context, or with one derived from it, release the lock: Result, Wait,
// AsCompleted, Gather, Map, the pauses of Retry, and Submit into a full queue.
// Tasks that are submitted with this context do not hold the lock, and do not
// release it.
func WithReleaser(ctx context.Context, r Releaser) context.Context {
	return &releasing{ctx, r, ctx.Value(workerKey{})}
}

// ReleaserOf returns the Releaser of the task or the goroutine to which ctx
// belongs. It returns nil if there is none. In a task, it does not return the
// Releaser of the submitter.
func ReleaserOf(ctx context.Context) Releaser {
	if c, ok := ctx.Value(releaserKey{}).(*releasing); ok && c.owner == ctx.Value(workerKey{}) {
		return c.releaser
	}
	return nil
}

type releaserKey struct{}

// releasing is a context with a Releaser. owner is the task or the callback to
// which the Releaser belongs, and nil outside of tasks and callbacks.
type releasing struct {
	context.Context
	releaser Releaser
	owner    any
}

// Value returns c itself for releaserKey, and values of the wrapped context for
// other keys.
func (c *releasing) Value(key any) any {
	if key == (releaserKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// replaceForeign is Isolate for the context of a task. It returns no
// function stop: the task stops the replacement when it settles.
func replaceForeign(ctx context.Context) context.Context {
	if foreign(ctx) {
		return newForeignContext(ctx)
	}
	return ctx
}

// maxContexts is the maximum number of nested contexts that foreign examines.
const maxContexts = 1000

// foreign reports whether a method of ctx, or of a context that it wraps, may
// be code of the program.
func foreign(ctx context.Context) bool {
	for range maxContexts {
		if ctx == background {
			return false // most chains end here, and this is faster than the lookup below
		}
		switch c := ctx.(type) {
		case nil:
			return true // package context does not wrap nil, so the program has made the wrapper
		case *taskContext, *itemContext, *mapContext, *foreignContext:
			return false // the parents of these contexts are not foreign either
		case *callbackContext:
			ctx = c.Context
			continue
		case *releasing:
			ctx = c.Context
			continue
		case noWaitContext:
			ctx = c.values
			continue
		}
		t := reflect.TypeOf(ctx)
		known, ok := wrappers.Load(t)
		if !ok {
			known, _ = wrappers.LoadOrStore(t, wrapperOf(t))
		}
		w := known.(wrapper)
		if !w.wraps {
			return w.foreign
		}
		data := (*[2]unsafe.Pointer)(unsafe.Pointer(&ctx))[1]
		if data == nil {
			return true // ctx is a nil pointer, so its methods may panic
		}
		ctx = *(*context.Context)(unsafe.Add(data, w.offset))
	}
	return true
}

var background = context.Background()

// wrapper describes a type of contexts.
type wrapper struct {
	wraps   bool    // whether the type wraps a context and belongs to the standard library
	offset  uintptr // of the wrapped context, in the struct
	foreign bool    // used if wraps is false: whether the type belongs to the program
}

// wrappers has the wrapper of each reflect.Type that foreign has examined.
var wrappers sync.Map

// loopPath and childPath are the paths of the packages loop and
// processes/internal/child.
var (
	modulePath = strings.TrimSuffix(reflect.TypeFor[Task]().PkgPath(), "/executor")
	loopPath   = modulePath + "/loop"
	childPath  = modulePath + "/processes/internal/child"
)

// wrapperOf returns the wrapper of a type. A context that wraps another one is
// a pointer to a struct, or a struct with a field of an interface type. In both
// cases, the data word of a context.Context with this value points to the
// struct.
func wrapperOf(t reflect.Type) wrapper {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.PkgPath() {
	case loopPath, childPath:
		return wrapper{} // its contexts wrap no foreign context
	case "context", "os/signal":
	default:
		return wrapper{foreign: true}
	}
	name := "Context" // most types embed the context that they wrap
	switch t.Name() {
	case "backgroundCtx", "todoCtx":
		return wrapper{}
	case "withoutCancelCtx":
		name = "c"
	}
	if t.Kind() != reflect.Struct {
		return wrapper{foreign: true}
	}
	f, ok := t.FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[context.Context]() {
		return wrapper{foreign: true}
	}
	offset := f.Offset
	for outer, path := t, f.Index; len(path) > 1; path = path[1:] {
		in := outer.Field(path[0])
		if in.Type.Kind() != reflect.Struct {
			return wrapper{foreign: true} // an embedded pointer
		}
		offset, outer = offset+in.Offset, in.Type
	}
	return wrapper{wraps: true, offset: offset}
}
