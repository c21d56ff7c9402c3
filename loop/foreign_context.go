package loop

import (
	"context"
	"slices"

	"concert/executor"
)

// contextListener listens to a foreign context, and ends a wait or a
// taskContext when the foreign context ends. A foreign context is a context
// that the loop did not make. It is from package context or from the program.
// Methods of contexts of the program may panic or block. So the loop only uses
// the context that executor.Isolate returns for a context of the program.
//
// The loop cannot know when a foreign context will end. So it reports no
// deadlock while it listens to one.
//
// If a context ends, package context reports this on another goroutine, with
// a delay. But a context that is derived from a taskContext ends at the same
// moment as the taskContext. So the loop polls the foreign contexts
// (pollContexts) before it advances virtual time or reports a deadlock.
type contextListener struct {
	loop   *Loop
	target any // a parked *Task, or a *taskContext
	ctx    context.Context
	stop   func() bool // stops the listener

	// Guarded by Loop.mu:
	ended  bool  // ctx has ended
	cause  error // the cause of ctx; set together with ended
	active bool  // whether the end of ctx ends target: the listener is in Loop.listeners, or it is the listener of Run
	index  int   // the index of the listener in listenerSet.all
}

// listen starts to listen to ctx. When ctx ends, the listener wakes its
// target, if the target is a parked coroutine, or ends it, if the target is
// a taskContext. The caller must not hold mu.
func (l *Loop) listen(target any, ctx context.Context) *contextListener {
	cl := &contextListener{loop: l, target: target}
	var end func()
	cl.ctx, end = executor.Isolate(ctx)
	cl.stop = afterIsolated(cl.ctx, end, cl.onEnd)
	return cl
}

// afterIsolated is context.AfterFunc with a context that Isolate has returned.
// stop also calls end, the function that Isolate has returned.
func afterIsolated(ctx context.Context, end, fn func()) (stop func() bool) {
	detach := context.AfterFunc(ctx, fn)
	return func() bool {
		defer end()
		return detach()
	}
}

// onEnd is called when the foreign context has ended.
func (cl *contextListener) onEnd() {
	cause := context.Cause(cl.ctx)
	l := cl.loop
	l.mu.Lock()
	cl.setEndedLocked(cause)
	l.unlock(nil)
}

// setEndedLocked records the end of the foreign context, and ends the target.
func (cl *contextListener) setEndedLocked(cause error) {
	if cl.ended {
		return
	}
	cl.ended, cl.cause = true, cause
	if !cl.active {
		return
	}
	switch target := cl.target.(type) {
	case *Task:
		cl.loop.wakeLocked(target, cause)
	case *taskContext:
		target.endLocked(cause)
	}
}

// listenerSet is the set of the active listeners of a loop, guarded by Loop.mu.
// The order of listenerSet.all is deterministic, so that runs with the same
// seed do the same.
type listenerSet struct {
	byTarget map[any]*contextListener
	all      []*contextListener
}

func (ls *listenerSet) add(cl *contextListener) {
	if ls.byTarget == nil {
		ls.byTarget = make(map[any]*contextListener)
	}
	cl.active, cl.index = true, len(ls.all)
	ls.byTarget[cl.target] = cl
	ls.all = append(ls.all, cl)
}

func (ls *listenerSet) remove(target any) {
	cl := ls.byTarget[target]
	if cl == nil {
		return
	}
	cl.active = false
	delete(ls.byTarget, target)
	last := len(ls.all) - 1
	ls.all[cl.index] = ls.all[last]
	ls.all[cl.index].index = cl.index
	ls.all[last] = nil
	ls.all = ls.all[:last]
}

// pollState says whether the loop polls its foreign contexts. handOverLocked
// requests the poll when it frees the scheduler lock, and unlock carries it
// out. In the meantime, coroutines may run, but virtual time does not advance.
//
// Guarded by Loop.mu.
type pollState uint8

const (
	pollIdle pollState = iota
	pollWanted
	pollRunning
)

// needPollLocked reports whether there is a foreign context whose end may not
// have been reported yet.
func (l *Loop) needPollLocked() bool {
	return l.root.listener != nil && !l.root.listener.ended || len(l.listeners.all) > 0
}

// pollContexts checks which foreign contexts have ended, and ends their
// targets. It returns true if no coroutine ran and no context ended during
// the poll. Otherwise another poll is necessary. The caller must not hold
// mu. When pollContexts returns, the caller holds mu.
func (l *Loop) pollContexts() (quiet bool) {
	l.mu.Lock()
	steps, ends := l.steps, l.endedContexts
	all := slices.Clone(l.listeners.all)
	if l.root.listener != nil {
		all = append(all, l.root.listener)
	}
	onPoll := l.onPoll
	l.onPoll = nil
	l.mu.Unlock()
	if onPoll != nil {
		onPoll()
	}
	ended := all[:0]
	var causes []error
	for _, cl := range all {
		if cl.ctx.Err() != nil {
			ended = append(ended, cl)
			causes = append(causes, context.Cause(cl.ctx))
		}
	}
	l.mu.Lock()
	for i, cl := range ended {
		cl.setEndedLocked(causes[i])
	}
	return l.steps == steps && l.endedContexts == ends
}
