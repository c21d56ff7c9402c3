package loop

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// A Group has coroutines as its children, and ends after all of them. See
// [WithGroup].
type Group struct {
	ctx   taskContext
	owner *Task // the coroutine that called WithGroup

	canceled atomic.Bool // its context was ended by itself, and not for a failure

	// Belong to the one who has the baton:
	live         int  // children that have not ended
	background   int  // of those, the ones that do not keep it from ending
	joining      bool // the owner is parked until they have ended
	returned     bool // WithGroup has returned
	failures     []error
	cancellation error // of one that only reported the cancellation

	origin *origin // of the last child
}

// WithGroup calls body with a group in which body and the children may start
// more children. It waits for all of them, and returns the errors of body and
// the children, joined. When it returns, none of them runs any longer. So a
// function that starts coroutines in this way leaves none behind.
//
// The first error, of body or of a child, ends the context of the group, and so
// those of all its children. Their awaits fail with a cause that is
// [context.Canceled] and says which coroutine failed. An error that only
// reports the end of the context is omitted, unless there is no other error and
// the context was ended from outside. A panic in a child becomes its error, a
// [*concert.PanicError]. A panic in body continues when the children have
// ended.
//
// This is the task group of Python's asyncio, and the nursery of trio.
func WithGroup(ctx context.Context, body func(ctx context.Context, g *Group) error) error {
	if body == nil {
		panic("loop: WithGroup with a nil function")
	}
	c := callerOf(ctx, opWithGroup)
	g := &Group{owner: c.task()}
	g.ctx.init(c.task(), c.taskCtx, ctx)
	return g.do(func() error { return body(&g.ctx, g) })
}

func (g *Group) do(body func() error) error {
	returned := false
	defer func() {
		if !returned { // a panic or a Goexit
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
	return g.cancellation // if the end has come from outside
}

// join waits until the children have ended: first those that are waited for,
// then, canceled, the rest.
func (g *Group) join() {
	g.wait(func() bool { return g.live == g.background })
	if g.live > 0 {
		g.Cancel()
		g.wait(func() bool { return g.live == 0 })
	}
}

func (g *Group) wait(ended func() bool) {
	for !ended() {
		g.joining = true
		g.owner.loop.mu.Lock()
		caller{taskCtx: &g.owner.ctx, shielded: true}.parkLocked(opWithGroup, g, nil)
		g.joining = false
	}
}

// end ends the group's context.
func (g *Group) end(cause error) { g.ctx.end(cause) }

// Cancel ends the context of the group, and so those of its children. WithGroup
// returns when they have ended, with nil if their errors only report the
// cancellation. Any goroutine may call Cancel.
func (g *Group) Cancel() {
	l := g.owner.loop
	l.mu.Lock()
	if g.ctx.endLocked(errGroupDone) {
		g.canceled.Store(true)
	}
	l.unlock(nil)
}

// Go starts a coroutine in the group. It does not run before the caller's next
// await. A child of a group whose context has ended never runs; it has the
// cause as its error.
//
// Go must be called by a coroutine of the loop, before the group has ended; it
// panics if it sees that it is not so.
func (g *Group) Go(fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.Go with a nil function")
	}
	return g.spawn(funcBody(fn), codePointer(fn), 4)
}

// Background is Go for a coroutine that the group need not wait for, such as a
// ticker, a listener or a watcher. When body and all other children have ended,
// it is canceled, and the group waits for it.
func (g *Group) Background(fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.Background with a nil function")
	}
	t := g.spawn(funcBody(fn), codePointer(fn), 4)
	t.background = true
	g.background++
	return t
}

// After is Go for a coroutine that starts after d, like asyncio's call_later.
// The Cancel of the Task cancels it. Until it starts, it needs no goroutine.
func (g *Group) After(d time.Duration, fn func(ctx context.Context) error) *Task {
	if fn == nil {
		panic("loop: Group.After with a nil function")
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

// spawn starts a coroutine. The one who wants it is skip calls up, or 0, if the
// place of its function says more.
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

// make returns a child that is in no line yet. The one who makes it is skip
// calls up.
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
	if g.origin == nil || g.origin.function != function { // looking is not cheap, and who starts many starts them in one place
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

// childEnded is called by a child at its end.
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

// failed takes note of the error of a child, or with nil of body.
func (g *Group) recordError(err error, t *Task) {
	switch {
	case err == nil:
	case t != nil && t.ctx.ended.Load() && !g.ctx.ended.Load() && isCancellationOnly(err, t.ctx.cause):
		// It alone was canceled.
	case g.ctx.ended.Load() && isCancellationOnly(err, g.ctx.cause):
		if g.cancellation == nil {
			g.cancellation = err
		}
	default:
		g.failures = append(g.failures, err)
		who := "the function of its group"
		if t != nil {
			who = t.String()
		}
		g.end(&siblingError{who, err})
	}
}

// Gather runs the functions as coroutines, concurrently, and returns their
// values in order. The first error cancels the others, as in [WithGroup].
// Gather returns when all have ended. After an error, it returns the errors
// joined, and no values.
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
// outcomes in order. An error does not cancel the others, but the end of ctx
// does. It corresponds to asyncio's gather with return_exceptions.
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
		outcomes[i].Err = t.err // also a panic, or that it never began
	}
	return outcomes
}

// First runs the functions as coroutines, concurrently. It returns the number
// and the result of the one that ends first. The others are canceled, and have
// ended when First returns; an error of theirs is lost. If ctx ends first, the
// number is that of the first function that returns. First panics without
// functions.
func First[T any](ctx context.Context, fns ...func(ctx context.Context) (T, error)) (i int, v T, err error) {
	if len(fns) == 0 {
		panic("loop: First without functions")
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
	return 0, v, tasks[0].err // none has begun
}
