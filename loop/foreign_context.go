package loop

import (
	"context"
	"slices"
)

// stranger is a context of package context, or somebody's own, that ends a wait
// or a scope. Nobody knows when it will, so as long as there are any the loop
// is not taken for stuck.
//
// Package context tells of the end on a goroutine of its own. A context that
// has ended because a scope did has ended at once, though. So before virtual
// time goes on, or a deadlock is declared, the loop looks itself (heed).
// Methods of contexts are foreign code, and called without mu.
type contextListener struct {
	loop   *Loop
	target any // a parked *Task, or a *scope
	ctx    context.Context
	stop   func() bool // ends the listening

	// Guarded by Loop.mu:
	ended  bool
	cause  error // once ended
	active bool  // its end is that of to
	index  int   // in strangers.all
}

// listen begins to listen to a context. It is called without mu.
func (l *Loop) listen(to any, ctx context.Context) *contextListener {
	cl := &contextListener{loop: l, target: to, ctx: ctx}
	cl.stop = context.AfterFunc(ctx, cl.onEnd)
	return cl
}

// tell takes notice of the end of the context.
func (cl *contextListener) onEnd() {
	cause := context.Cause(cl.ctx)
	l := cl.loop
	l.mu.Lock()
	cl.setEndedLocked(cause)
	l.unlock(nil)
}

func (cl *contextListener) setEndedLocked(cause error) {
	if cl.ended {
		return
	}
	cl.ended, cl.cause = true, cause
	if !cl.active {
		return
	}
	switch to := cl.target.(type) {
	case *Task:
		cl.loop.wakeLocked(to, cause)
	case *taskContext:
		to.endLocked(cause)
	}
}

// strangers are those of a loop that are active; guarded by Loop.mu. The order
// of all depends on nothing but that of what was done.
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

func (ls *listenerSet) remove(to any) {
	cl := ls.byTarget[to]
	if cl == nil {
		return
	}
	cl.active = false
	delete(ls.byTarget, to)
	last := len(ls.all) - 1
	ls.all[cl.index] = ls.all[last]
	ls.all[cl.index].index = cl.index
	ls.all[last] = nil
	ls.all = ls.all[:last]
}

// Whether the loop looks at strangers; guarded by Loop.mu. It is wanted by the
// one who puts the baton down, and done by his unlock. Meanwhile others may
// take the baton up, but not let time go on.
type pollState uint8

const (
	pollIdle pollState = iota
	pollWanted
	pollRunning
)

// strangeLocked reports whether a context may have ended that has not told so
// yet.
func (l *Loop) needPollLocked() bool {
	return l.root.listener != nil && !l.root.listener.ended || len(l.listeners.all) > 0
}

// heed looks for contexts that have ended. It reports whether nothing has
// happened meanwhile, or else there may be more to see. It is called without
// mu, and returns with it.
func (l *Loop) pollContexts() (quiet bool) {
	l.mu.Lock()
	steps, ends := l.steps, l.endedContexts
	all := slices.Clone(l.listeners.all)
	if l.root.listener != nil {
		all = append(all, l.root.listener)
	}
	l.mu.Unlock()
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
