package loop

import (
	"cmp"
	"context"
	"sync/atomic"
	"time"

	"concert/executor"
)

// taskContext is a context of a coroutine. The contexts of a loop form a tree.
// The parent of the context of a coroutine is the context of its group. The
// parent of the context of a group, or of WithTimeout, is the context from
// which it was made. If a context ends, its descendants end. A coroutine that
// waits with one of these contexts is woken.
//
// For other packages, a taskContext is an ordinary context. The first call
// of Done makes a standard context inside of the taskContext. Package
// context attaches derived contexts to the standard context. The standard
// context has no link to the standard context of the parent, so only
// endLocked ends it. With such a link, its Done channel could be closed
// before Err returns an error.
type taskContext struct {
	values   context.Context                 // supplies the values and the deadline
	standard atomic.Pointer[standardContext] // nil before the first call of Done
	task     *Task                           // the coroutine to which the context belongs

	ended atomic.Bool // whether the context has ended; set after cause is written
	cause error       // why the context has ended; written once, with Loop.mu held

	// Guarded by Loop.mu:
	parent      *taskContext // nil for the main coroutine
	firstChild  *taskContext // the newest child
	prevSibling *taskContext
	nextSibling *taskContext
	detached    bool // whether the context has left the tree; if so, its new children become children of its parent

	// Written before another goroutine can use the context:
	shielded           bool             // whether the context continues when its parent ends
	endValues          func()           // the stop function that executor.Isolate returned with values; nil if Isolate was not called
	hasForeignAncestor bool             // whether the context or one of its ancestors has a listener
	listener           *contextListener // listens to values, if values is a foreign context that may end earlier; otherwise nil

	deadline *deadline // set by WithTimeout and WithDeadline; otherwise nil
}

// deadline is the time at which a taskContext ends.
type deadline struct {
	timer timer
	at    time.Time
}

// standardContext is a context of package context, with its cancel function.
type standardContext struct {
	context.Context
	cancel context.CancelCauseFunc
}

// openStandard returns tc.standard. It creates the standard context if there is
// none yet.
func (tc *taskContext) openStandard() *standardContext {
	in := tc.standard.Load()
	if in == nil {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(tc.values))
		if in = (&standardContext{ctx, cancel}); !tc.standard.CompareAndSwap(nil, in) {
			in = tc.standard.Load()
		}
	}
	// openStandard sets tc.standard before it reads tc.ended. endLocked sets
	// tc.ended before it reads tc.standard. So at least one of the two
	// functions cancels the standard context.
	if tc.ended.Load() {
		in.cancel(tc.cause)
	}
	return in
}

type taskContextKey struct{}

// When a task of a pool starts as a coroutine, taskContextKey is looked up in
// the context of the task.
func init() { executor.CaptureValue(taskContextKey{}) }

// init adds tc to the tree, as a child of parent. ctx is the context from which
// tc is derived: parent itself, or a context that another package has derived
// from parent.
func (tc *taskContext) init(t *Task, parent *taskContext, ctx context.Context) {
	tc.task = t
	l := t.loop
	var listener *contextListener
	if _, ok := ctx.(*taskContext); ok {
		tc.values = ctx
	} else {
		// A derived context may differ from parent only in its values. Or it
		// may end earlier than parent, or never end.
		done := ctx.Done()
		tc.shielded = done != parent.Done()
		if tc.shielded && done != nil {
			listener = l.listen(tc, ctx)
			tc.values = listener.ctx
			if tc.values.Err() != nil {
				listener.onEnd()
			}
		} else {
			tc.values, tc.endValues = executor.Isolate(ctx)
		}
	}
	l.mu.Lock()
	tc.linkLocked(parent)
	tc.addListenerLocked(listener)
	l.mu.Unlock()
}

// addListenerLocked sets the listener of tc, so that tc ends when the context
// of the listener ends.
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

// linkLocked adds tc to the tree. If parent has ended, tc ends, unless tc is
// shielded.
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

// attachLocked adds tc to the children of parent.
func (tc *taskContext) attachLocked(parent *taskContext) {
	tc.parent, tc.prevSibling, tc.nextSibling = parent, nil, parent.firstChild
	if parent.firstChild != nil {
		parent.firstChild.prevSibling = tc
	}
	parent.firstChild = tc
}

// detachLocked ends tc and removes it from the tree. Its children become
// children of its parent.
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
	for tc.firstChild = nil; child != nil; { // the oldest first, because attachLocked reverses the order
		next := child.prevSibling
		if child.ended.Load() && child.firstChild == nil && child != &child.task.ctx {
			child.parent, child.detached = tc.parent, true // an ended context without children is dropped
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

// removeListenerLocked stops the listener of tc, if there is one. If Isolate
// has returned tc.values, removeListenerLocked also calls the stop function
// of Isolate.
func (tc *taskContext) removeListenerLocked() {
	if tc.endValues != nil {
		tc.endValues() // calls no code of the program
	}
	if tc.listener != nil {
		tc.task.loop.stoppedListeners = append(tc.task.loop.stoppedListeners, tc.listener)
	}
}

// detachTreeLocked detaches tc and its descendants. It is called at the end of
// a coroutine, whose function may have left contexts without a call of cancel.
func (tc *taskContext) detachTreeLocked() {
	for tc.firstChild != nil {
		tc.firstChild.detachTreeLocked()
	}
	tc.detachLocked()
}

// end ends tc with a cause.
func (tc *taskContext) end(cause error) {
	if tc.ended.Load() {
		return
	}
	l := tc.task.loop
	l.mu.Lock()
	tc.endLocked(cause)
	l.unlock(nil)
}

// endLocked ends tc and its descendants. It returns false if tc had already
// ended.
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
		in.cancel(cause) // cancel may start goroutines, but calls no code of the program
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

// Done implements [context.Context].
func (tc *taskContext) Done() <-chan struct{} { return tc.openStandard().Done() }

// Err implements [context.Context].
func (tc *taskContext) Err() error {
	switch {
	case !tc.ended.Load():
		return nil
	case tc.cause == context.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Deadline implements [context.Context]. It does not report a deadline in
// virtual time, because packages such as context and net use every deadline
// as a deadline in real time.
func (tc *taskContext) Deadline() (time.Time, bool) {
	at, ok := tc.values.Deadline()
	if tc.deadline != nil && !tc.task.loop.opts.Virtual && (!ok || tc.deadline.at.Before(at)) {
		return tc.deadline.at, true
	}
	return at, ok
}

// Value implements [context.Context].
func (tc *taskContext) Value(key any) any {
	if key == (taskContextKey{}) {
		return tc
	}
	if tc.ended.Load() || tc.standard.Load() != nil {
		return tc.openStandard().Value(key) // lets context.Cause find the cause
	}
	return tc.values.Value(key)
}

// String returns a text for %v.
func (tc *taskContext) String() string { return "context of coroutine " + tc.task.String() }

// WithCancel returns a context for the calling coroutine. It ends when cancel
// is called, with the argument as its cause, or when ctx ends. If the cause is
// nil, an error that is [context.Canceled] is used. The caller must call cancel
// when it no longer needs the context. Any goroutine may call cancel, any
// number of times.
//
// When the context has ended, every await with this context, or with a
// context that was derived from it, returns the cause as its error. This
// includes awaits that have already begun. So no await misses a
// cancellation. Contexts of [context.WithCancelCause] work as well, at a
// higher cost.
func WithCancel(ctx context.Context) (_ context.Context, cancel context.CancelCauseFunc) {
	c := callerOf(ctx, opWithCancel)
	tc := new(taskContext)
	tc.init(c.task(), c.taskCtx, ctx)
	return tc, tc.cancel
}

// cancel ends tc with a cause, and removes tc from the tree.
func (tc *taskContext) cancel(cause error) {
	cause = cmp.Or(cause, errCanceled)
	l := tc.task.loop
	l.mu.Lock()
	tc.endLocked(cause)
	tc.detachLocked()
	l.unlock(nil)
}

// WithTimeout returns a context for the calling coroutine that ends after d,
// with [context.DeadlineExceeded], or when ctx ends. The caller must call
// cancel when it no longer needs the context. Any goroutine may call cancel.
//
// The clock is [Now], which may be virtual. With virtual time, the context
// has no Deadline, because other packages would use it as a deadline in real
// time. Contexts of [context.WithTimeout] work as well, at a higher cost and
// in real time. If package context derives a context from the returned
// context, the Err of the derived context is Canceled at the deadline, and
// its [context.Cause] is DeadlineExceeded.
func WithTimeout(ctx context.Context, d time.Duration) (_ context.Context, cancel context.CancelFunc) {
	c := callerOf(ctx, opWithTimeout)
	return withDeadline(c, ctx, c.task().loop.elapsed()+max(d, 0))
}

// WithDeadline does the same as WithTimeout, but its argument is a point in
// time of the clock [Now].
func WithDeadline(ctx context.Context, at time.Time) (_ context.Context, cancel context.CancelFunc) {
	c := callerOf(ctx, opWithDeadline)
	return withDeadline(c, ctx, max(at.Sub(c.task().loop.epoch), 0))
}

func withDeadline(c caller, ctx context.Context, at time.Duration) (context.Context, context.CancelFunc) {
	l := c.task().loop
	if at < 0 {
		at = never // the sum overflowed
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
// ends. It is for cleanup after a cancellation. Limit the time of the cleanup:
//
//	defer func() {
//		ctx, cancel := loop.WithTimeout(loop.Shield(ctx), time.Second)
//		defer cancel()
//		conn.goodbye(ctx)
//	}()
//
// Shield checks that ctx is a context of the calling coroutine, and then calls
// [context.WithoutCancel].
func Shield(ctx context.Context) context.Context {
	callerOf(ctx, opShield)
	return context.WithoutCancel(ctx)
}

// Now returns the time of the loop, which may be virtual.
func Now(ctx context.Context) time.Time {
	l := callerOf(ctx, opNow).task().loop
	return l.epoch.Add(l.elapsed())
}

// pollAncestors checks the foreign contexts above tc. One of these contexts
// may have ended without effect so far, because the goroutine that reports
// its end has not run yet.
func (tc *taskContext) pollAncestors() {
	l := tc.task.loop
	var listeners []*contextListener
	l.mu.Lock()
	for up := tc; up != nil && up.hasForeignAncestor; up = up.parent {
		if up.listener != nil {
			listeners = append(listeners, up.listener)
		}
	}
	l.mu.Unlock()
	for _, listener := range listeners {
		if listener.ctx.Err() != nil {
			listener.onEnd()
		}
	}
}
