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
type stranger struct {
	loop *Loop
	to   any // a parked *Task, or a *scope
	ctx  context.Context
	stop func() bool // ends the listening

	// Guarded by Loop.mu:
	ended  bool
	cause  error // once ended
	active bool  // its end is that of to
	place  int   // in strangers.all
}

// listen begins to listen to a context. It is called without mu.
func (l *Loop) listen(to any, ctx context.Context) *stranger {
	s := &stranger{loop: l, to: to, ctx: ctx}
	s.stop = context.AfterFunc(ctx, s.tell)
	return s
}

// tell takes notice of the end of the context.
func (s *stranger) tell() {
	cause := context.Cause(s.ctx)
	l := s.loop
	l.mu.Lock()
	s.endLocked(cause)
	l.unlock(nil)
}

func (s *stranger) endLocked(cause error) {
	if s.ended {
		return
	}
	s.ended, s.cause = true, cause
	if !s.active {
		return
	}
	switch to := s.to.(type) {
	case *Task:
		s.loop.wakeLocked(to, cause)
	case *scope:
		to.endLocked(cause)
	}
}

// strangers are those of a loop that are active; guarded by Loop.mu. The order
// of all depends on nothing but that of what was done.
type strangers struct {
	of  map[any]*stranger
	all []*stranger
}

func (ss *strangers) add(s *stranger) {
	if ss.of == nil {
		ss.of = make(map[any]*stranger)
	}
	s.active, s.place = true, len(ss.all)
	ss.of[s.to] = s
	ss.all = append(ss.all, s)
}

func (ss *strangers) remove(to any) {
	s := ss.of[to]
	if s == nil {
		return
	}
	s.active = false
	delete(ss.of, to)
	last := len(ss.all) - 1
	ss.all[s.place] = ss.all[last]
	ss.all[s.place].place = s.place
	ss.all[last] = nil
	ss.all = ss.all[:last]
}

// Whether the loop looks at strangers; guarded by Loop.mu. It is wanted by the
// one who puts the baton down, and done by his unlock. Meanwhile others may
// take the baton up, but not let time go on.
type heeding uint8

const (
	heedless heeding = iota
	wanted
	going
)

// strangeLocked reports whether a context may have ended that has not told so
// yet.
func (l *Loop) strangeLocked() bool {
	return l.root.ear != nil && !l.root.ear.ended || len(l.strangers.all) > 0
}

// heed looks for contexts that have ended. It reports whether nothing has
// happened meanwhile, or else there may be more to see. It is called without
// mu, and returns with it.
func (l *Loop) heed() (quiet bool) {
	l.mu.Lock()
	steps, ends := l.steps, l.endedContexts
	all := slices.Clone(l.strangers.all)
	if l.root.ear != nil {
		all = append(all, l.root.ear)
	}
	l.mu.Unlock()
	ended := all[:0]
	var causes []error
	for _, s := range all {
		if s.ctx.Err() != nil {
			ended = append(ended, s)
			causes = append(causes, context.Cause(s.ctx))
		}
	}
	l.mu.Lock()
	for i, s := range ended {
		s.endLocked(causes[i])
	}
	return l.steps == steps && l.endedContexts == ends
}
