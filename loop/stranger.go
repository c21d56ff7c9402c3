package loop

import (
	"cmp"
	"context"
	"slices"
)

// stranger is a context of package context, or somebody's own, that ends a wait or a scope. Nobody knows when it will, so as
// long as there are any the loop is not taken for stuck.
//
// Package context tells of the end on a goroutine of its own. A context that has ended because a scope did has ended at
// once, though. So before virtual time goes on, or a deadlock is declared, the loop looks itself (heed). Methods of
// contexts are foreign code, and called without mu.
type stranger struct {
	loop *Loop
	to   any // a parked *Task, or a *scope
	ctx  context.Context
	stop func() bool // ends the listening

	// Guarded by Loop.mu:
	ended  bool
	cause  error  // once ended
	active bool   // its end is that of to
	seq    uint64 // in the order in which they became active
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

// strangers are those of a loop that are active; guarded by Loop.mu.
type strangers struct {
	of  map[any]*stranger
	seq uint64
}

func (ss *strangers) add(s *stranger) {
	if ss.of == nil {
		ss.of = make(map[any]*stranger)
	}
	ss.seq++
	s.active, s.seq = true, ss.seq
	ss.of[s.to] = s
}

func (ss *strangers) remove(to any) {
	if s := ss.of[to]; s != nil {
		s.active = false
		delete(ss.of, to)
	}
}

// Whether the loop looks at strangers; guarded by Loop.mu. It is wanted by the one who puts the baton
// down, and done by his unlock. Meanwhile others may take the baton up, but not let time go on.
type heeding uint8

const (
	heedless heeding = iota
	wanted
	going
)

// strangeLocked reports whether a context may have ended that has not told so yet: that of Run at any time, others
// when a scope has ended since we looked.
func (l *Loop) strangeLocked() bool {
	return l.root.ear != nil && !l.root.ear.ended || l.spread && len(l.strangers.of) > 0
}

// heed looks for contexts that have ended. It is called without mu, and returns with it.
func (l *Loop) heed() {
	l.mu.Lock()
	var all []*stranger
	if l.spread {
		for _, s := range l.strangers.of {
			all = append(all, s)
		}
	}
	l.spread = false
	if l.root.ear != nil {
		all = append(all, l.root.ear)
	}
	slices.SortFunc(all, func(a, b *stranger) int { return cmp.Compare(a.seq, b.seq) })
	l.mu.Unlock()
	ended := make([]error, len(all))
	for i, s := range all {
		if s.ctx.Err() != nil {
			ended[i] = context.Cause(s.ctx)
		}
	}
	l.mu.Lock()
	for i, s := range all {
		if ended[i] != nil {
			s.endLocked(ended[i])
		}
	}
}
