package executor

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// A program may implement context.Context with a type of its own. The methods
// of such a foreign context may panic, end their goroutine or never return. An
// executor on goroutines calls them on the goroutine that runs the task. A
// remote executor calls the methods of all tasks' contexts under its locks. So
// when a remote executor accepts a task, a foreignContext replaces the task's
// context if that is foreign.

// foreignContext replaces a context of the program's own type. Its Err, Done
// and Deadline call no method of the replaced context.
type foreignContext struct {
	context.Context                 // ends when ending does
	ending          *lazy.Ending    // receives the Err and the cause of the replaced context when that has ended
	values          context.Context // the replaced context
	done            <-chan struct{} // Done of the replaced context; may be nil
	deadline        time.Time
	hasDeadline     bool
	label           any         // the value of labelKey
	mute            atomic.Bool // a call of the replaced context's Value has not returned in time; Value is not called again
	stop            func()      // ends the goroutine that waits until values is done
}

// endTime bounds how long Err waits for the methods that say how the replaced
// context has ended.
const endTime = 100 * time.Millisecond

// valueTime bounds a call of the replaced context's Value. An executor calls
// Value for a few keys of its own.
const valueTime = time.Second

// Deadline returns the deadline that the replaced context had at first.
func (c *foreignContext) Deadline() (time.Time, bool) { return c.deadline, c.hasDeadline }

// Err returns the error of the replaced context as soon as its Done channel is
// closed, and not only when another goroutine has noticed: an executor that
// calls Err before it starts a task does not start one whose context has ended.
// If the methods of the replaced context do not say within endTime how it has
// ended, it counts as canceled.
func (c *foreignContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	select {
	case <-c.done:
	default:
		return nil
	}
	t := time.NewTimer(endTime)
	defer t.Stop()
	select {
	case <-c.Context.Done():
	case <-t.C:
		c.ending.End(context.Canceled, nil)
	}
	return c.Context.Err()
}

// Value calls the Value method of the replaced context on a goroutine of its
// own, except for keys that package context uses for cancellation. It returns
// nil if the method fails or does not return within a second. After a call that
// did not return in time, it does not call the method again.
func (c *foreignContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	if key == (labelKey{}) {
		return c.label
	}
	if c.mute.Load() {
		return nil
	}
	v, ok := foreignValue(c.values, key)
	if !ok {
		c.mute.Store(true)
	}
	return v
}

// foreignValue calls the Value method of a context of the program's own type on
// another goroutine. The value is nil if the method fails or does not return
// within valueTime. ok is false only if the method did not return in time.
func foreignValue(ctx context.Context, key any) (v any, ok bool) {
	v, failure := CallIsolated(valueTime, func() any { return ctx.Value(key) })
	_, hangs := failure.(noReturnError)
	return v, !hangs
}

// newForeignContext returns a foreignContext that replaces ctx. It calls
// methods of ctx on another goroutine and blocks until they return.
func newForeignContext(ctx context.Context) *foreignContext {
	ending := lazy.NewEnding()
	inner, cancel := context.WithCancelCause(ending)
	c := &foreignContext{Context: inner, ending: ending, values: ctx, stop: func() { cancel(nil) }}
	early := false
	failure := guarded(func() {
		c.deadline, c.hasDeadline = ctx.Deadline()
		c.label = ctx.Value(labelKey{})
		c.done = ctx.Done()
		early = ctx.Err() != nil
	})
	switch {
	case failure != nil:
		ending.End(context.Canceled, contextFailure(ctx, failure))
	case early:
		c.end()
	case c.done != nil:
		stopped := make(chan struct{})
		c.stop = sync.OnceFunc(func() { close(stopped); cancel(nil) })
		go func() {
			select {
			case <-stopped:
			case <-c.done:
				c.end()
			}
		}()
	}
	return c
}

// end ends the context with the error and the cause of the replaced context.
func (c *foreignContext) end() {
	var err, cause error
	if failure := guarded(func() { err, cause = c.values.Err(), context.Cause(c.values) }); failure != nil {
		err, cause = context.Canceled, contextFailure(c.values, failure)
	}
	c.ending.End(err, cause)
}

// contextFailure returns the error of a task whose context has a method that
// failed.
func contextFailure(ctx context.Context, failure error) error {
	return &methodError{fmt.Sprintf("concert: a method of the task's context, a %T, %s", ctx, howFailed(failure)), failure}
}

// maxContexts bounds how many nested contexts foreign examines.
const maxContexts = 64

// foreign reports whether a method of ctx, or of a context that it wraps, may
// be code of the program.
func foreign(ctx context.Context) bool {
	v := reflect.ValueOf(ctx)
	for range maxContexts {
		v = reflect.Indirect(v)
		if !v.IsValid() {
			return true // a nil pointer
		}
		wraps, ok := wrappers.Load(v.Type())
		if !ok {
			wraps, _ = wrappers.LoadOrStore(v.Type(), wrapperOf(v.Type()))
		}
		w := wraps.(wrapper)
		if w.field == nil {
			return w.foreign
		}
		v = v.FieldByIndex(w.field).Elem()
	}
	return true
}

// wrapper describes a type of contexts.
type wrapper struct {
	field   []int // index of the field with the wrapped context; nil if the type wraps none
	foreign bool  // used if field is nil: whether the type belongs to the program
}

// wrappers has the wrapper of each reflect.Type that foreign has examined.
var wrappers sync.Map

// ownPath is the path of this package, and loopPath that of package loop.
var (
	ownPath  = reflect.TypeFor[Task]().PkgPath()
	loopPath = strings.TrimSuffix(ownPath, "/executor") + "/loop"
)

// wrapperOf returns the wrapper of a type.
func wrapperOf(t reflect.Type) wrapper {
	var names []string
	switch t.PkgPath() {
	case ownPath:
		switch t {
		case reflect.TypeFor[foreignContext](), reflect.TypeFor[mapContext]():
			return wrapper{} // newMapping replaces a foreign context
		case reflect.TypeFor[taskContext]():
			names = []string{"ctx", "Parent"}
		case reflect.TypeFor[itemContext]():
			names = []string{"lazy", "Parent"}
		case reflect.TypeFor[callbackContext](), reflect.TypeFor[releasing]():
			names = []string{"Context"}
		}
	case loopPath:
		return wrapper{}
	case "context", "os/signal":
		switch t.Name() {
		case "backgroundCtx", "todoCtx":
			return wrapper{}
		case "withoutCancelCtx":
			names = []string{"c"}
		default:
			names = []string{"Context"} // the other types embed the context that they wrap
		}
	}
	var path []int
	for _, name := range names {
		if t.Kind() != reflect.Struct {
			break
		}
		f, ok := t.FieldByName(name)
		if !ok {
			break
		}
		path, t = append(path, f.Index...), f.Type
	}
	if t != reflect.TypeFor[context.Context]() {
		return wrapper{foreign: true}
	}
	return wrapper{field: path}
}

// parentEnd reports whether the submitter's context is done, and the cause. A
// context with a method that panics counts as done. If a method ends the
// goroutine, parentEnd fails the task.
func (t *Task) parentEnd(s *carrier) (cause error, ended bool) {
	parent := t.ctx.Parent
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil {
			cause, ended = contextFailure(parent, NewPanicError(v)), true
			return
		}
		t.fail(&neverStarted{contextFailure(parent, ErrGoexit)}, s)
	}()
	if ended = parent.Err() != nil; ended {
		cause = context.Cause(parent)
	}
	returned = true
	return cause, ended
}
