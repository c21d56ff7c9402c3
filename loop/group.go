package loop

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A Group has coroutines as its children, and ends when all of them have ended.
// See [WithGroup].
type Group struct {
	ctx   taskContext
	owner *Task // the coroutine that called WithGroup

	canceled atomic.Bool // whether Cancel, or the end of all other children, has ended the context

	// Used only by the holder of the scheduler lock:
	live         int  // number of children that have not ended
	background   int  // number of children that Background has started and that have not ended
	joining      bool // whether the owner is parked until the children have ended
	returned     bool // whether WithGroup has returned
	failures     []error
	cancellation error // the first cancellation-only error

	origin *origin // the origin of the newest child
}

// WithGroup calls body with a new group. body and the children can start more
// children in the group. WithGroup waits for all of them, and returns the
// errors of body and the children, joined. When WithGroup returns, no child is
// running. So a function that starts coroutines in this way leaves no coroutine
// behind.
//
// The first error of body or of a child ends the context of the group. This
// also ends the contexts of all children. The awaits of the children fail
// with a cause that says which coroutine failed. errors.Is matches this
// cause with [context.Canceled]. An error that only reports the end of the
// context is omitted. There is one exception: if the context was ended from
// outside of the group, and there is no other error, WithGroup returns the
// first omitted error. A panic in a child becomes its error, a
// [*concert.PanicError]. A panic in body continues after the children have
// ended.
//
// WithGroup corresponds to TaskGroup in Python's asyncio, and to the nursery of
// trio.
func WithGroup(ctx context.Context, body func(ctx context.Context, g *Group) error) error {
	if body == nil {
		panic("loop: WithGroup called with a nil function")
	}
	c := callerOf(ctx, opWithGroup)
	g := &Group{owner: c.task()}
	g.ctx.init(c.task(), c.taskCtx, ctx)
	return g.do(func() error { return body(&g.ctx, g) })
}

// do calls body, and returns the error of the group when all children have
// ended.
func (g *Group) do(body func() error) error {
	returned := false
	defer func() {
		if !returned { // body has panicked or called runtime.Goexit
			g.end(errCanceled)
			g.join()
		}
		g.returned = true
		l := g.owner.loop
		l.mu.Lock()
		g.ctx.detachLocked()
		l.unlock(nil)
	}()
	g.recordError(body(), nil)
	g.join()
	returned = true
	switch len(g.failures) {
	case 0:
	case 1:
		return g.failures[0]
	default:
		return errors.Join(g.failures...)
	}
	if g.canceled.Load() {
		return nil
	}
	return g.cancellation // nil, unless the context was ended from outside of the group
}

// join waits until the children have ended. When only background children
// remain, it cancels them.
func (g *Group) join() {
	g.wait(func() bool { return g.live == g.background })
	if g.live > 0 {
		g.Cancel()
		g.wait(func() bool { return g.live == 0 })
	}
}

// wait parks the owner until ended() is true.
func (g *Group) wait(ended func() bool) {
	for !ended() {
		g.joining = true
		g.owner.loop.mu.Lock()
		caller{taskCtx: &g.owner.ctx, shielded: true}.parkLocked(opWithGroup, g, nil)
		g.joining = false
	}
}

// end ends the context of the group.
func (g *Group) end(cause error) { g.ctx.end(cause) }

// Cancel ends the context of the group, and with it the contexts of its
// children. WithGroup returns when the children have ended. It omits errors
// that only report this cancellation. Any goroutine may call Cancel.
func (g *Group) Cancel() {
	l := g.owner.loop
	l.mu.Lock()
	if g.ctx.endLocked(errGroupDone) {
		g.canceled.Store(true)
	}
	l.unlock(nil)
}

// Go starts a coroutine in the group. The coroutine does not run before the
// next await of the caller. If the context of the group has ended, the
// coroutine never runs, and its error is the cause.
//
// Go must be called by a coroutine of the loop, before the group has ended. It
// panics if it detects a violation of this rule.
func (g *Group) Go(fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.Go called with a nil function")
	}
	return g.spawn(funcBody(fn), codePointer(fn), 4)
}

// Background does the same as Go, for a coroutine that runs as long as the
// group has other work. Examples are a ticker, a listener and a watcher. When
// body and all other children have ended, the coroutine is canceled, and the
// group waits for its end.
func (g *Group) Background(fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.Background called with a nil function")
	}
	t := g.spawn(funcBody(fn), codePointer(fn), 4)
	t.background = true
	g.background++
	return t
}

// After does the same as Go, but the coroutine starts after d. Task.Cancel
// prevents the start. Until the start, the coroutine needs no goroutine. After
// corresponds to call_later in asyncio.
func (g *Group) After(d time.Duration, fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.After called with a nil function")
	}
	l := g.owner.loop
	at := l.elapsed() + max(d, 0)
	if at < 0 {
		at = never
	}
	t := g.newChild(funcBody(fn), codePointer(fn), 3)
	l.mu.Lock()
	t.ctx.linkLocked(&g.ctx)
	l.live++
	t.state = parked
	t.op, t.since = opAfter, l.coarseNowLocked()
	if t.waitCtx = &t.ctx; t.ctx.ended.Load() || d <= 0 {
		l.wakeLocked(t, nil)
	} else {
		l.timers.add(&t.timer, at)
		l.alarmLocked()
	}
	l.unlock(nil)
	return t
}

// spawn starts a coroutine. skip is the number of stack frames between spawn
// and the code of the program, whose position is reported as the start. If skip
// is 0, the position of the function is reported instead.
func (g *Group) spawn(b body, function uintptr, skip int) *Task {
	t := g.newChild(b, function, skip)
	l := t.loop
	l.mu.Lock()
	t.ctx.linkLocked(&g.ctx)
	l.live++
	l.ready.push(t)
	l.unlock(nil)
	return t
}

// newChild returns a child that is not in the run queue yet. skip is as for
// spawn.
func (g *Group) newChild(b body, function uintptr, skip int) *Task {
	l := g.owner.loop
	if g.ctx.hasForeignAncestor {
		g.ctx.pollAncestors()
	}
	switch {
	case g.returned:
		panic("loop: cannot start a coroutine in a group that has ended")
	case l.current.Load() == nil:
		panic("loop: cannot start a coroutine from outside the loop: use a Portal")
	}
	if g.origin == nil || g.origin.function != function { // recordSite is slow, and many children usually start at one site
		g.origin = &origin{function: function}
		if skip > 0 {
			g.origin.recordSite(skip)
		}
	}
	t := &Task{loop: l, group: g, body: b, origin: g.origin}
	t.init()
	g.live++
	return t
}

// childEnded is called at the end of a child.
func (g *Group) childEnded(t *Task) {
	if !t.isolated {
		g.recordError(t.err, t)
	}
	g.live--
	if t.background {
		g.background--
	}
	if g.joining && (g.live == g.background || g.live == 0) {
		g.owner.loop.wake(g.owner, nil)
	}
}

// recordError records the error of a child, or of body if t is nil. The
// first failure also ends the context of the group.
func (g *Group) recordError(err error, t *Task) {
	switch {
	case err == nil:
	case t != nil && t.ctx.ended.Load() && !g.ctx.ended.Load() && isCancellationOnly(err, t.ctx.cause):
		// Only this child was canceled, and not the group.
	case g.ctx.ended.Load() && isCancellationOnly(err, g.ctx.cause):
		if g.cancellation == nil {
			g.cancellation = err
		}
	default:
		g.failures = append(g.failures, err)
		name := "the body of its group"
		if t != nil {
			name = t.String()
		}
		g.end(&siblingError{name, err})
	}
}

// Gather runs the functions as coroutines, concurrently, and returns their
// values in order. The first error cancels the other functions, as in
// [WithGroup]. Gather returns when all functions have ended. After an error, it
// returns the joined errors and no values.
func Gather[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) ([]T, error) {
	values := make([]T, len(fns))
	err := WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			g.spawn(funcBody(func(ctx context.Context) (err error) {
				values[i], err = fn(ctx)
				return err
			}), codePointer(fn), 0)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// Outcome is the value and the error that a function returned.
type Outcome[T any] struct {
	Value T
	Err   error
}

// Outcomes runs the functions as coroutines, concurrently, and returns their
// outcomes in order. An error does not cancel the other functions, but the end
// of ctx cancels all of them. Outcomes corresponds to gather with
// return_exceptions in asyncio.
func Outcomes[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) []Outcome[T] {
	outcomes := make([]Outcome[T], len(fns))
	tasks := make([]*Task, len(fns))
	WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			tasks[i] = g.spawn(funcBody(func(ctx context.Context) (err error) {
				outcomes[i].Value, err = fn(ctx)
				return err
			}), codePointer(fn), 0)
			tasks[i].isolated = true
		}
		return nil
	})
	for i, t := range tasks {
		outcomes[i].Err = t.err // set even if the function panicked or never ran
	}
	return outcomes
}

// First runs the functions as coroutines, concurrently. It returns the index
// and the result of the first function that returns. The other functions are
// canceled, and have ended when First returns. Their errors are dropped. If
// ctx ends, all functions are canceled, and First still returns the result
// of the first function that returns. First panics if there are no
// functions.
func First[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) (i int, v T, err error) {
	if len(fns) == 0 {
		panic("loop: First called without functions")
	}
	var first *Task
	var values = make([]T, len(fns))
	tasks := make([]*Task, len(fns))
	WithGroup(ctx, func(_ context.Context, g *Group) error {
		for i, fn := range fns {
			tasks[i] = g.spawn(funcBody(func(ctx context.Context) (err error) {
				defer func() {
					if first == nil {
						first = tasks[i]
						g.Cancel()
					}
				}()
				values[i], err = fn(ctx)
				return err
			}), codePointer(fn), 0)
			tasks[i].isolated = true
		}
		return nil
	})
	for i, t := range tasks {
		if t == first {
			return i, values[i], t.err
		}
	}
	return 0, v, tasks[0].err // no function ran
}
