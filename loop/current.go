package loop

import (
	"context"
	"fmt"

	"concert"
)

// caller is a coroutine that calls a function of this package, and what may end
// its waits: the scope, or foreign, or nothing.
type caller struct {
	taskCtx  *taskContext    // the innermost of its contexts that is this package's
	foreign  context.Context // made from it by package context, and may end earlier; else nil
	shielded bool            // made from it by context.WithoutCancel
}

func (c caller) task() *Task { return c.taskCtx.task }

// in returns the scope that ends the wait, or nil.
func (c caller) waitContext() *taskContext {
	if c.foreign != nil || c.shielded {
		return nil
	}
	return c.taskCtx
}

// runs returns the running coroutine, whose context ctx must be.
func callerOf(ctx context.Context, op op) caller {
	tc, ok := ctx.(*taskContext)
	if ok {
		tc.task.checkCurrent(op)
		return caller{taskCtx: tc}
	}
	return callerOfDerived(ctx, op)
}

// runsDerived is runs for a context that somebody has made from a coroutine's.
func callerOfDerived(ctx context.Context, op op) caller {
	if ctx == nil {
		panic("loop: " + op.String() + " with a nil context")
	}
	tc, ok := ctx.Value(taskContextKey{}).(*taskContext)
	if !ok || concert.ReleaserOf(ctx) != (*releaser)(tc.task) { // a task that a coroutine has submitted is no part of it
		panic("loop: " + op.String() + " with a context that belongs to no coroutine: pass the context that the coroutine's function received")
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

// check panics unless the coroutine is the one that runs.
func (t *Task) checkCurrent(op op) {
	if t.loop.current.Load() != t {
		t.panicNotCurrent(op)
	}
}

func (t *Task) panicNotCurrent(op op) {
	now := t.loop.current.Load()
	switch {
	case t.Done():
		panic(fmt.Sprintf("loop: %s with the context of %s, which has returned", op, t))
	case now == nil:
		panic(fmt.Sprintf("loop: %s with the context of %s, which is not running: do not call it in Block or on another goroutine", op, t))
	}
	panic(fmt.Sprintf("loop: %s with the context of %s while %s runs: use a context only in its own coroutine, and not in Block or on another goroutine", op, t, now))
}

// awaits is runs for a function that may wait: it fails if the context has
// ended, after the others had their turn, so that not even a coroutine that
// ignores it keeps them from running.
func beginAwait(ctx context.Context, op op) (caller, error) {
	c := callerOf(ctx, op)
	return c, c.checkAwait()
}

// await is awaits for a caller that is known to run.
func (c caller) checkAwait() error {
	err := c.ended()
	if t := c.task(); err != nil || t.loop.random != nil && t.loop.random.IntN(4) == 0 {
		t.yield()
		err = c.ended()
	}
	return err
}

// fail lets others run before an await fails, so that not even a coroutine that
// tries again and again keeps them from it.
func (c caller) yieldAndFail(err error) error {
	c.task().yield()
	return err
}

// ended returns the cause for which the caller's waits end, or nil.
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

// overLocked is whether the scope has ended, for one who has locked mu and
// asked ended before.
func (c caller) endedLocked() error {
	if tc := c.waitContext(); tc != nil && tc.ended.Load() {
		return tc.cause
	}
	return nil
}

// attend listens to the context that may end a wait, if that is a foreign one.
func (c caller) listen() *contextListener {
	if c.foreign == nil {
		return nil
	}
	return c.task().loop.listen(c.task(), c.foreign)
}
