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
type scope struct {
	parent context.Context // values and deadline are from it
	inner  atomic.Pointer[inner]
	task   *Task // whose it is

	over  atomic.Bool // cause is there
	cause error       // written once under Loop.mu, before over

	// Guarded by Loop.mu:
	above              *scope // nil for that of Run
	first, left, right *scope // the first of those below, and its neighbors in the list of those
	gone               bool   // it has been left; what is made from it stands below what is above it

	// Written before its context is given to anybody:
	apart              bool             // the end of what is above is not its end
	hasForeignAncestor bool             // it or one above it has an ear
	listener           *contextListener // its parent, if that may end by itself; else nil

	limit *limit // of WithTimeout and WithDeadline, else nil
}

// limit is when a scope ends by itself.
type limit struct {
	timer timer
	at    time.Time
}

// inner is a standard context and its cancel function.
type inner struct {
	context.Context
	cancel context.CancelCauseFunc
}

// open returns the inner context, making it if need be.
func (s *scope) open() *inner {
	in := s.inner.Load()
	if in == nil {
		ctx, cancel := context.WithCancelCause(context.WithoutCancel(s.parent))
		if in = (&inner{ctx, cancel}); !s.inner.CompareAndSwap(nil, in) {
			in = s.inner.Load()
		}
	}
	// Who opens it looks whether it is over after that; who ends it looks
	// whether it is open after that: one of them sees the other.
	if s.over.Load() {
		in.cancel(s.cause)
	}
	return in
}

type scopeKey struct{}

// begin puts the scope below another, with ctx, which is that one or made from
// it.
func (s *scope) begin(t *Task, above *scope, ctx context.Context) {
	s.task = t
	s.parent = ctx
	var done <-chan struct{}
	if _, ok := ctx.(*scope); !ok {
		// What package context has made of it: one with values only, one that
		// ends earlier, or one that does not end.
		done = ctx.Done()
		s.apart = done != above.Done()
	}
	l := t.loop
	var listener *contextListener
	if s.apart && done != nil {
		listener = l.listen(s, ctx)
		if ctx.Err() != nil {
			listener.onEnd()
		}
	}
	l.mu.Lock()
	s.linkLocked(above)
	s.addListenerLocked(listener)
	l.mu.Unlock()
}

// hearLocked has the end of a stranger be the scope's.
func (s *scope) addListenerLocked(listener *contextListener) {
	switch {
	case listener == nil:
	case listener.ended:
		s.endLocked(listener.cause)
	case s.over.Load():
		s.task.loop.stoppedListeners = append(s.task.loop.stoppedListeners, listener)
	default:
		s.listener, s.hasForeignAncestor = listener, true
		s.task.loop.listeners.add(listener)
	}
}

// linkLocked puts the scope into the tree. If what is above has ended, so has
// this one.
func (s *scope) linkLocked(above *scope) {
	s.hasForeignAncestor = above.hasForeignAncestor && !s.apart
	over := above.over.Load() && !s.apart
	cause := above.cause
	for above.gone {
		above = above.above
	}
	s.attachLocked(above)
	if over {
		s.endLocked(cause)
	}
}

func (s *scope) attachLocked(above *scope) {
	s.above, s.left, s.right = above, nil, above.first
	if above.first != nil {
		above.first.left = s
	}
	above.first = s
}

// leaveLocked ends the scope and takes it out of the tree. What is still below
// it, it hands to the one above.
func (s *scope) leaveLocked() {
	if s.gone {
		return
	}
	s.endLocked(errLeft)
	s.removeListenerLocked()
	if s.above == nil {
		return
	}
	below := s.first
	for below != nil && below.right != nil {
		below = below.right
	}
	for s.first = nil; below != nil; { // the oldest first, as attaching turns them round
		next := below.left
		if below.over.Load() && below.first == nil && below != &below.task.ctx {
			below.above, below.gone = s.above, true // forgotten, and good for nothing
			below.removeListenerLocked()
		} else {
			below.attachLocked(s.above)
		}
		below = next
	}
	if s.left == nil {
		s.above.first = s.right
	} else {
		s.left.right = s.right
	}
	if s.right != nil {
		s.right.left = s.left
	}
	s.left, s.right, s.gone = nil, nil, true
}

// deafenLocked ends the listening to the scope's parent.
func (s *scope) removeListenerLocked() {
	if s.listener != nil {
		s.task.loop.stoppedListeners = append(s.task.loop.stoppedListeners, s.listener)
	}
}

// dropLocked is leaveLocked for a coroutine that has ended, and has left behind
// contexts that nobody has canceled.
func (s *scope) dropLocked() {
	for s.first != nil {
		s.first.dropLocked()
	}
	s.leaveLocked()
}

// end ends the scope with a cause.
func (s *scope) end(cause error) {
	if s.over.Load() {
		return
	}
	l := s.task.loop
	l.mu.Lock()
	s.endLocked(cause)
	l.unlock(nil)
}

// endLocked ends the scope and those below it. It reports whether it has not
// ended before.
func (s *scope) endLocked(cause error) bool {
	if s.over.Load() {
		return false
	}
	l := s.task.loop
	s.cause = cause
	s.over.Store(true)
	l.endedContexts++
	if s.limit != nil && s.limit.timer.set() {
		l.timers.remove(&s.limit.timer)
	}
	if in := s.inner.Load(); in != nil {
		in.cancel(cause) // package context calls nobody back meanwhile, but starts goroutines
	}
	if t := s.task; t.in == s {
		switch t.state {
		case parked:
			l.wakeLocked(t, cause)
		case outside:
			if stop, ok := t.on.(interrupter); ok {
				l.interruptLocked(t, stop)
			}
		}
	}
	for below := s.first; below != nil; below = below.right {
		if !below.apart {
			below.endLocked(cause)
		}
	}
	if s.listener != nil {
		l.listeners.remove(s)
	}
	return true
}

// Done is that of a [context.Context].
func (s *scope) Done() <-chan struct{} { return s.open().Done() }

// Err is that of a [context.Context].
func (s *scope) Err() error {
	switch {
	case !s.over.Load():
		return nil
	case s.cause == context.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return context.Canceled
}

// Deadline is that of a [context.Context]. One of virtual time is nobody's
// business but the loop's: package context and net would take it for one of
// real time.
func (s *scope) Deadline() (time.Time, bool) {
	at, ok := s.parent.Deadline()
	if s.limit != nil && !s.task.loop.opts.Virtual && (!ok || s.limit.at.Before(at)) {
		return s.limit.at, true
	}
	return at, ok
}

// Value is that of a [context.Context].
func (s *scope) Value(key any) any {
	if key == (scopeKey{}) {
		return s
	}
	if s.over.Load() || s.inner.Load() != nil {
		return s.open().Value(key) // where package context finds the cause
	}
	return s.parent.Value(key)
}

// String is for %v.
func (s *scope) String() string { return "context of coroutine " + s.task.String() }

// WithCancel returns a context for the calling coroutine. It ends when cancel
// is called, with the argument as its cause, or when ctx ends. A nil cause
// stands for an error that is [context.Canceled]. The caller must call cancel
// in the end. Any goroutine may call it, any number of times.
//
// After that, every await with this context, or one derived from it, fails with
// the cause; those that wait already fail as well. So a cancellation cannot be
// missed. Contexts of [context.WithCancelCause] work as well, at a higher cost.
func WithCancel(ctx context.Context) (_ context.Context, cancel context.CancelCauseFunc) {
	c := runs(ctx, opWithCancel)
	s := new(scope)
	s.begin(c.task(), c.scope, ctx)
	return s, s.cancel
}

// cancel ends and leaves the scope.
func (s *scope) cancel(cause error) {
	if cause == nil {
		cause = errCanceled
	}
	l := s.task.loop
	l.mu.Lock()
	s.endLocked(cause)
	s.leaveLocked()
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
	c := runs(ctx, opWithTimeout)
	return withLimit(c, ctx, c.task().loop.elapsed()+max(d, 0))
}

// WithDeadline is WithTimeout with a point in time of the loop's clock, see
// [Now].
func WithDeadline(ctx context.Context, at time.Time) (_ context.Context, cancel context.CancelFunc) {
	c := runs(ctx, opWithDeadline)
	return withLimit(c, ctx, max(at.Sub(c.task().loop.epoch), 0))
}

func withLimit(c caller, ctx context.Context, at time.Duration) (context.Context, context.CancelFunc) {
	l := c.task().loop
	if at < 0 {
		at = 1<<63 - 1 // beyond what a Duration can say
	}
	s := &scope{limit: &limit{at: l.epoch.Add(at)}}
	s.limit.timer.scope = s
	s.begin(c.task(), c.scope, ctx)
	l.mu.Lock()
	switch {
	case s.over.Load():
	case at <= l.elapsed():
		s.endLocked(context.DeadlineExceeded)
	default:
		l.timers.add(&s.limit.timer, at)
		l.alarmLocked()
	}
	l.mu.Unlock()
	return s, func() { s.cancel(nil) }
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
	runs(ctx, opShield)
	return context.WithoutCancel(ctx)
}

// Now returns the time of the loop, which may be virtual.
func Now(ctx context.Context) time.Time {
	l := runs(ctx, opNow).task().loop
	return l.epoch.Add(l.elapsed())
}

// expose is for a scope with a stranger above, which may have ended just now,
// and whose goroutine has not told us yet.
func (s *scope) pollAncestors() {
	l := s.task.loop
	var above []*contextListener
	l.mu.Lock()
	for up := s; up != nil && up.hasForeignAncestor; up = up.above {
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
