package loop

import (
	"context"
	"fmt"

	"concert/executor"
)

// caller describes a call of a function of this package: the coroutine that
// calls it, and the context that can end a wait of the function. This is the
// field foreign, or taskCtx if foreign is nil. If shielded is set, no
// context can end the wait.
type caller struct {
	taskCtx  *taskContext    // the innermost context of this package
	foreign  context.Context // a context that another package has derived from taskCtx, and that may end earlier; or nil
	shielded bool            // whether the caller's context was derived from taskCtx by context.WithoutCancel
}

func (c caller) task() *Task { return c.taskCtx.task }

// waitContext returns the context of this package that ends the wait, or nil.
func (c caller) waitContext() *taskContext {
	if c.foreign != nil || c.shielded {
		return nil
	}
	return c.taskCtx
}

// callerOf returns the running coroutine. It panics if ctx is not a context of
// this coroutine.
func callerOf(ctx context.Context, op op) caller {
	tc, ok := ctx.(*taskContext)
	if ok {
		tc.task.checkCurrent(op)
		return caller{taskCtx: tc}
	}
	return callerOfDerived(ctx, op)
}

// callerOfDerived does the same as callerOf for a context that another package
// derived from a context of the coroutine.
func callerOfDerived(ctx context.Context, op op) caller {
	if ctx == nil {
		panic("loop: " + op.String() + " called with a nil context")
	}
	tc, ok := ctx.Value(taskContextKey{}).(*taskContext)
	if !ok || executor.ReleaserOf(ctx) != (*releaser)(tc.task) { // a task that a coroutine submits to an executor is not part of the coroutine
		panic("loop: " + op.String() + " called with a context that belongs to no coroutine: pass the context that the function of the coroutine received")
	}
	tc.task.checkCurrent(op)
	switch done := ctx.Done(); {
	case done == nil:
		return caller{taskCtx: tc, shielded: true}
	case done == tc.Done():
		return caller{taskCtx: tc}
	}
	return caller{taskCtx: tc, foreign: ctx}
}

// checkCurrent panics unless t is the running coroutine.
func (t *Task) checkCurrent(op op) {
	if t.loop.current.Load() != t {
		t.panicNotCurrent(op)
	}
}

// panicNotCurrent panics with the reason why t is not the running coroutine.
func (t *Task) panicNotCurrent(op op) {
	now := t.loop.current.Load()
	switch {
	case t.Done():
		panic(fmt.Sprintf("loop: %s called with the context of coroutine %s, which has returned", op, t))
	case now == nil:
		panic(fmt.Sprintf("loop: %s called with the context of coroutine %s, which is not running: do not call it in Block or on another goroutine", op, t))
	}
	panic(fmt.Sprintf("loop: %s called with the context of coroutine %s while coroutine %s runs: use a context only in its own coroutine, and not in Block or on another goroutine", op, t, now))
}

// beginAwait does the same as callerOf for a function that may wait. It
// returns an error if the context has ended. Before it returns the error, it
// lets other coroutines run. So a coroutine that ignores the error cannot
// block the loop.
func beginAwait(ctx context.Context, op op) (caller, error) {
	c := callerOf(ctx, op)
	return c, c.checkAwait()
}

// checkAwait does the same as beginAwait for a caller whose coroutine is
// running.
func (c caller) checkAwait() error {
	err := c.ended()
	if t := c.task(); err != nil || t.loop.random != nil && t.loop.random.IntN(4) == 0 {
		t.yield()
		err = c.ended()
	}
	return err
}

// yieldAndFail lets other coroutines run, and then returns err. So a
// coroutine cannot block the loop by repeating an await that fails.
func (c caller) yieldAndFail(err error) error {
	c.task().yield()
	return err
}

// ended returns the cause if the context of the caller has ended, and nil
// otherwise.
func (c caller) ended() error {
	switch {
	case c.foreign != nil:
		if c.foreign.Err() != nil {
			return context.Cause(c.foreign)
		}
		return nil
	case c.shielded:
		return nil
	case c.taskCtx.hasForeignAncestor:
		c.taskCtx.pollAncestors()
	}
	if c.taskCtx.ended.Load() {
		return c.taskCtx.cause
	}
	return nil
}

// endedLocked does the same as caller.ended, for a caller that holds mu. It
// does not check foreign contexts, because caller.ended was called before.
func (c caller) endedLocked() error {
	if tc := c.waitContext(); tc != nil && tc.ended.Load() {
		return tc.cause
	}
	return nil
}

// listen listens to the foreign context that may end a wait. It returns nil if
// there is no foreign context.
func (c caller) listen() *contextListener {
	if c.foreign == nil {
		return nil
	}
	return c.task().loop.listen(c.task(), c.foreign)
}
