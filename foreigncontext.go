package concert

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"
)

// A context may be of a type of the program, whose methods may panic, end
// their goroutine or never return. Executors on goroutines ask a task's context
// on the goroutine that runs the task. Remote executors ask the contexts of all
// tasks, under their locks; so a context of such a type is replaced by a
// foreignContext when the task comes.

// foreignContext stands in for a context of the program's. Its Err, Done and
// Deadline call no method of it.
type foreignContext struct {
	context.Context // a cancel context of its own
	values          context.Context
	deadline        time.Time
	hasDeadline     bool
	stop            func() // ends the goroutine that waits for values' end
}

// Deadline is the one that the context had at the beginning.
func (c *foreignContext) Deadline() (time.Time, bool) { return c.deadline, c.hasDeadline }

// Value asks the context of the program, unless it is about cancellation.
func (c *foreignContext) Value(key any) any {
	if v := c.Context.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// standIn returns a foreignContext for ctx. It calls the methods of ctx, on
// the goroutine of the submitter and then on one of its own.
func standIn(ctx context.Context) *foreignContext {
	inner, cancel := context.WithCancelCause(context.Background())
	c := &foreignContext{Context: inner, values: ctx, stop: func() { cancel(nil) }}
	var done <-chan struct{}
	var early error
	failure := guarded(func() {
		c.deadline, c.hasDeadline = ctx.Deadline()
		done = ctx.Done()
		if ctx.Err() != nil {
			early = context.Cause(ctx)
		}
	})
	switch {
	case failure != nil:
		cancel(contextFailure(ctx, failure))
	case early != nil:
		cancel(early)
	case done != nil:
		stopped := make(chan struct{})
		c.stop = sync.OnceFunc(func() { close(stopped); cancel(nil) })
		go func() {
			select {
			case <-stopped:
				return
			case <-done:
			}
			cause := context.Canceled
			if failure := guarded(func() { cause = context.Cause(ctx) }); failure != nil {
				cause = contextFailure(ctx, failure)
			}
			cancel(cause)
		}()
	}
	return c
}

// contextFailure is the error of a task whose context's methods failed.
func contextFailure(ctx context.Context, failure error) error {
	if p, ok := failure.(*PanicError); ok {
		return &methodError{fmt.Sprintf("concert: a method of the task's context, a %T, panicked: %v", ctx, p.Value), failure}
	}
	return &methodError{fmt.Sprintf("concert: a method of the task's context, a %T, called runtime.Goexit", ctx), failure}
}

// maxContexts is how many contexts one inside another are looked at.
const maxContexts = 64

// foreign reports whether a method of ctx may be the program's.
func foreign(ctx context.Context) bool {
	for range maxContexts {
		switch c := ctx.(type) {
		case *foreignContext:
			return false
		case *taskContext:
			ctx = c.ctx.Parent
			continue
		case *itemContext:
			ctx = c.lazy.Parent
			continue
		case *callbackContext:
			ctx = c.Context
			continue
		case *releasing:
			ctx = c.Context
			continue
		}
		v := reflect.Indirect(reflect.ValueOf(ctx))
		if path := v.Type().PkgPath(); path != "context" {
			return path != loopPath
		}
		switch v.Type().Name() {
		case "backgroundCtx", "todoCtx", "withoutCancelCtx":
			return false
		}
		if v.Kind() != reflect.Struct {
			return true
		}
		inner := v.FieldByName("Context") // what package context embeds
		if !inner.IsValid() || !inner.CanInterface() {
			return true
		}
		var ok bool
		if ctx, ok = inner.Interface().(context.Context); !ok {
			return true
		}
	}
	return true
}

// loopPath is the package whose contexts can be relied on as well.
var loopPath = reflect.TypeFor[Task]().PkgPath() + "/loop"

// parentEnd reports whether the context of the submitter has ended, and its
// cause. A method of it that fails ends it.
func (t *Task) parentEnd(s *strand) (cause error, ended bool) {
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
