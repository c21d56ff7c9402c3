package loop

import (
	"context"
	"fmt"
)

// caller is a coroutine that calls a function of this package, and what may end its waits.
type caller struct {
	task  *Task
	scope *scope // the innermost of its contexts that is this package's

	// What ends the wait: a scope, or a context that package context has made from it and that
	// may end earlier, or neither.
	in      *scope
	foreign context.Context
}

// runs returns the running coroutine, whose context ctx must be.
func runs(ctx context.Context, op string) caller {
	s, ok := ctx.(*scope)
	if ok {
		s.task.check(op)
		return caller{s.task, s, s, nil}
	}
	return runsDerived(ctx, op)
}

// runsDerived is runs for a context that somebody has made from a coroutine's.
func runsDerived(ctx context.Context, op string) caller {
	if ctx == nil {
		panic("loop: " + op + " with a nil context")
	}
	s, ok := ctx.Value(scopeKey{}).(*scope)
	if !ok {
		panic("loop: " + op + " with a context that is no coroutine's: pass on the one that the coroutine's function was given")
	}
	s.task.check(op)
	c := caller{s.task, s, nil, nil}
	switch done := ctx.Done(); {
	case done == nil: // of context.WithoutCancel
	case done == s.Done():
		c.in = s
	default:
		c.foreign = ctx
	}
	return c
}

// check panics unless the coroutine is the one that runs.
func (t *Task) check(op string) {
	now := t.loop.current.Load()
	if now == t {
		return
	}
	switch {
	case t.isDone():
		panic(fmt.Sprintf("loop: %s with the context of %s, which has returned", op, t))
	case now == nil:
		panic(fmt.Sprintf("loop: %s with the context of %s, which does not run: not inside of Block, and not on another goroutine", op, t))
	}
	panic(fmt.Sprintf("loop: %s with the context of %s while %s runs: a context is for its own coroutine, on its own goroutine, and not inside of Block", op, t, now))
}

// awaits is runs for a function that may wait: it fails if the context has ended, after the others had
// their turn, so that not even a coroutine that ignores it keeps them from running.
func awaits(ctx context.Context, op string) (caller, error) {
	c := runs(ctx, op)
	err := c.ended()
	if err != nil || c.task.loop.random != nil && c.task.loop.random.IntN(4) == 0 {
		c.task.yield()
		err = c.ended()
	}
	return c, err
}

// ended returns the cause for which the caller's waits end, or nil.
func (c caller) ended() error {
	switch {
	case c.in != nil && c.in.over.Load():
		return c.in.cause
	case c.foreign != nil && c.foreign.Err() != nil:
		return context.Cause(c.foreign)
	}
	return nil
}

// attention has a context of package context end a wait. Its end must be called after it.
type attention struct{ stop func() bool }

// attend is called before mu is taken for parkLocked.
func (c caller) attend() attention {
	if c.foreign == nil {
		return attention{}
	}
	t, ticket := c.task, c.task.parks+1
	return attention{context.AfterFunc(c.foreign, func() {
		l := t.loop
		l.mu.Lock()
		if t.parks == ticket {
			l.wakeLocked(t, context.Cause(c.foreign))
		}
		l.unlock(nil)
	})}
}

func (a attention) end() {
	if a.stop != nil {
		a.stop()
	}
}
