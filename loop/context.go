package loop

import (
	"context"
	"sync/atomic"
	"time"
)

// scope is a context of a coroutine. Scopes form a tree: that of a coroutine
// stands below that of its group, that of a group or of a WithTimeout below the
// one that it was made from. The end of a scope ends those below it, and wakes
// the coroutine if it waits in it.
//
// To package context it is a context like any other: once somebody asks for
// Done there is a standard one inside, to which children of package context
// attach. That one knows nothing of what is above it, so that it ends just when
// the scope does; otherwise a Done could be closed before Err has an error.
type taskContext struct {
	values   context.Context // values and deadline are from it
	standard atomic.Pointer[standardContext]
	task     *Task // whose it is

	ended atomic.Bool // cause is there
	cause error       // written once under Loop.mu, before over

	// Guarded by Loop.mu:
	parent                               *taskContext // nil for that of Run
	firstChild, prevSibling, nextSibling *taskContext // the first of those below, and its neighbors in the list of those
	detached                             bool         // it has been left; what is made from it stands below what is above it

	// Written before its context is given to anybody:
	shielded           bool             // the end of what is above is not its end
	hasForeignAncestor bool             // it or one above it has an ear
	listener           *contextListener // its parent, if that may end by itself; else nil

	deadline *deadline // of WithTimeout and WithDeadline, else nil
}

// limit is when a scope ends by itself.
type deadline struct {
	timer timer
	at    time.Time
}

// inner is a standard context and its cancel function.
type standardContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// open returns the inner context, making it if need be.
func (tc *taskContext) openStandard() *standardContext {
	in := tc.standard.Load()
	if in == nil {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(tc.values))
		if in = (&standardContext{ctx, cancel}); !tc.standard.CompareAndSwap(nil, in) {
			in = tc.standard.Load()
		}
	}
	// Who opens it looks whether it is over after that; who ends it looks
	// whether it is open after that: one of them sees the other.
	if tc.ended.Load() {
		in.cancel(tc.cause)
	}
	return in
}

type taskContextKey struct{}

// begin puts the scope below another, with ctx, which is that one or made from
// it.
func (tc *taskContext) init(t *Task, parent *taskContext, ctx context.Context) {
	tc.task = t
	tc.values = ctx
	var done <-chan struct{}
	if _, ok := ctx.(*taskContext); !ok {
		// What package context has made of it: one with values only, one that
		// ends earlier, or one that does not end.
		done = ctx.Done()
		tc.shielded = done != parent.Done()
	}
	l := t.loop
	var listener *contextListener
	if tc.shielded && done != nil {
		listener = l.listen(tc, ctx)
		if ctx.Err() != nil {
			listener.onEnd()
		}
	}
	l.mu.Lock()
	tc.linkLocked(parent)
	tc.addListenerLocked(listener)
	l.mu.Unlock()
}

// hearLocked has the end of a stranger be the scope's.
func (tc *taskContext) addListenerLocked(listener *contextListener) {
	switch {
	case listener == nil:
	case listener.ended:
		tc.endLocked(listener.cause)
	case tc.ended.Load():
		tc.task.loop.stoppedListeners = append(tc.task.loop.stoppedListeners, listener)
	default:
		tc.listener, tc.hasForeignAncestor = listener, true
		tc.task.loop.listeners.add(listener)
	}
}

// linkLocked puts the scope into the tree. If what is above has ended, so has
// this one.
func (tc *taskContext) linkLocked(parent *taskContext) {
	tc.hasForeignAncestor = parent.hasForeignAncestor && !tc.shielded
	ended := parent.ended.Load() && !tc.shielded
	cause := parent.cause
	for parent.detached {
		parent = parent.parent
	}
	tc.attachLocked(parent)
	if ended {
		tc.endLocked(cause)
	}
}

func (tc *taskContext) attachLocked(parent *taskContext) {
	tc.parent, tc.prevSibling, tc.nextSibling = parent, nil, parent.firstChild
	if parent.firstChild != nil {
		parent.firstChild.prevSibling = tc
	}
	parent.firstChild = tc
}

// leaveLocked ends the scope and takes it out of the tree. What is still below
// it, it hands to the one above.
func (tc *taskContext) detachLocked() {
	if tc.detached {
		return
	}
	tc.endLocked(errReturned)
	tc.removeListenerLocked()
	if tc.parent == nil {
		return
	}
	child := tc.firstChild
	for child != nil && child.nextSibling != nil {
		child = child.nextSibling
	}
	for tc.firstChild = nil; child != nil; { // the oldest first, as attaching turns them round
		next := child.prevSibling
		if child.ended.Load() && child.firstChild == nil && child != &child.task.ctx {
			child.parent, child.detached = tc.parent, true // forgotten, and good for nothing
			child.removeListenerLocked()
		} else {
			child.attachLocked(tc.parent)
		}
		child = next
	}
	if tc.prevSibling == nil {
		tc.parent.firstChild = tc.nextSibling
	} else {
		tc.prevSibling.nextSibling = tc.nextSibling
	}
	if tc.nextSibling != nil {
		tc.nextSibling.prevSibling = tc.prevSibling
	}
	tc.prevSibling, tc.nextSibling, tc.detached = nil, nil, true
}

// deafenLocked ends the listening to the scope's parent.
func (tc *taskContext) removeListenerLocked() {
	if tc.listener != nil {
		tc.task.loop.stoppedListeners = append(tc.task.loop.stoppedListeners, tc.listener)
	}
}

// dropLocked is leaveLocked for a coroutine that has ended, and has left behind
// contexts that nobody has canceled.
func (tc *taskContext) detachTreeLocked() {
	for tc.firstChild != nil {
		tc.firstChild.detachTreeLocked()
	}
	tc.detachLocked()
}

// end ends the scope with a cause.
func (tc *taskContext) end(cause error) {
	if tc.ended.Load() {
		return
	}
	l := tc.task.loop
	l.mu.Lock()
	tc.endLocked(cause)
	l.unlock(nil)
}

// endLocked ends the scope and those below it. It reports whether it has not
// ended before.
func (tc *taskContext) endLocked(cause error) bool {
	if tc.ended.Load() {
		return false
	}
	l := tc.task.loop
	tc.cause = cause
	tc.ended.Store(true)
	l.endedContexts++
	if tc.deadline != nil && tc.deadline.timer.set() {
		l.timers.remove(&tc.deadline.timer)
	}
	if in := tc.standard.Load(); in != nil {
		in.cancel(cause) // package context calls nobody back meanwhile, but starts goroutines
	}
	if t := tc.task; t.waitCtx == tc {
		switch t.state {
		case parked:
			l.wakeLocked(t, cause)
		case outside:
			if stop, ok := t.waitTarget.(interrupter); ok {
				l.interruptLocked(t, stop)
			}
		}
	}
	for child := tc.firstChild; child != nil; child = child.nextSibling {
		if !child.shielded {
			child.endLocked(cause)
		}
	}
	if tc.listener != nil {
		l.listeners.remove(tc)
	}
	return true
}

// Done is that of a [context.Context].
func (tc *taskContext) Done() <-chan struct{} { return tc.openStandard().Done() }

// Err is that of a [context.Context].
func (tc *taskContext) Err() error {
	switch {
	case !tc.ended.Load():
		return nil
	case tc.cause == context.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Deadline is that of a [context.Context]. One of virtual time is nobody's
// business but the loop's: package context and net would take it for one of
// real time.
func (tc *taskContext) Deadline() (time.Time, bool) {
	at, ok := tc.values.Deadline()
	if tc.deadline != nil && !tc.task.loop.opts.Virtual && (!ok || tc.deadline.at.Before(at)) {
		return tc.deadline.at, true
	}
	return at, ok
}

// Value is that of a [context.Context].
func (tc *taskContext) Value(key any) any {
	if key == (taskContextKey{}) {
		return tc
	}
	if tc.ended.Load() || tc.standard.Load() != nil {
		return tc.openStandard().Value(key) // where package context finds the cause
	}
	return tc.values.Value(key)
}

// String is for %v.
func (tc *taskContext) String() string { return "context of coroutine " + tc.task.String() }

// WithCancel returns a context for the calling coroutine. It ends when cancel
// is called, with the argument as its cause, or when ctx ends. A nil cause
// stands for an error that is [context.Canceled]. The caller must call cancel
// in the end. Any goroutine may call it, any number of times.
//
// After that, every await with this context, or one derived from it, fails with
// the cause; those that wait already fail as well. So a cancellation cannot be
// missed. Contexts of [context.WithCancelCause] work as well, at a higher cost.
func WithCancel(ctx context.Context) (_ context.Context, cancel context.CancelCauseFunc) {
	c := callerOf(ctx, opWithCancel)
	tc := new(taskContext)
	tc.init(c.task(), c.taskCtx, ctx)
	return tc, tc.cancel
}

// cancel ends and leaves the scope.
func (tc *taskContext) cancel(cause error) {
	if cause == nil {
		cause = errCanceled
	}
	l := tc.task.loop
	l.mu.Lock()
	tc.endLocked(cause)
	tc.detachLocked()
	l.unlock(nil)
}

// WithTimeout returns a context for the calling coroutine that ends after d,
// with [context.DeadlineExceeded], or when ctx does. The caller must call
// cancel when the context is no longer needed. Any goroutine may call it.
//
// The time is that of the loop, which may be virtual. A context with virtual
// time has no Deadline, because other packages would take it for real time.
// Contexts of [context.WithTimeout] work as well, at a higher cost, with real
// time. A context that package context derives from this one ends as canceled,
// and its [context.Cause] is DeadlineExceeded.
func WithTimeout(ctx context.Context, d time.Duration) (_ context.Context, cancel context.CancelFunc) {
	c := callerOf(ctx, opWithTimeout)
	return withDeadline(c, ctx, c.task().loop.elapsed()+max(d, 0))
}

// WithDeadline is WithTimeout with a point in time of the loop's clock, see
// [Now].
func WithDeadline(ctx context.Context, at time.Time) (_ context.Context, cancel context.CancelFunc) {
	c := callerOf(ctx, opWithDeadline)
	return withDeadline(c, ctx, max(at.Sub(c.task().loop.epoch), 0))
}

func withDeadline(c caller, ctx context.Context, at time.Duration) (context.Context, context.CancelFunc) {
	l := c.task().loop
	if at < 0 {
		at = 1<<63 - 1 // beyond what a Duration can say
	}
	tc := &taskContext{deadline: &deadline{at: l.epoch.Add(at)}}
	tc.deadline.timer.taskCtx = tc
	tc.init(c.task(), c.taskCtx, ctx)
	l.mu.Lock()
	switch {
	case tc.ended.Load():
	case at <= l.elapsed():
		tc.endLocked(context.DeadlineExceeded)
	default:
		l.timers.add(&tc.deadline.timer, at)
		l.alarmLocked()
	}
	l.mu.Unlock()
	return tc, func() { tc.cancel(nil) }
}

// Shield returns a context for the calling coroutine that does not end when ctx
// does. It is for cleanup after a cancellation. Limit the time of the cleanup:
//
//	defer func() {
//		ctx, cancel := loop.WithTimeout(loop.Shield(ctx), time.Second)
//		defer cancel()
//		conn.goodbye(ctx)
//	}()
//
// It is [context.WithoutCancel], after a check that ctx is the calling
// coroutine's.
func Shield(ctx context.Context) context.Context {
	callerOf(ctx, opShield)
	return context.WithoutCancel(ctx)
}

// Now returns the time of the loop, which may be virtual.
func Now(ctx context.Context) time.Time {
	l := callerOf(ctx, opNow).task().loop
	return l.epoch.Add(l.elapsed())
}

// expose is for a scope with a stranger above, which may have ended just now,
// and whose goroutine has not told us yet.
func (tc *taskContext) pollAncestors() {
	l := tc.task.loop
	var above []*contextListener
	l.mu.Lock()
	for up := tc; up != nil && up.hasForeignAncestor; up = up.parent {
		if up.listener != nil {
			above = append(above, up.listener)
		}
	}
	l.mu.Unlock()
	for _, listener := range above {
		if listener.ctx.Err() != nil {
			listener.onEnd()
		}
	}
}
