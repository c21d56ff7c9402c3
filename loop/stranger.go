package loop

import (
	"cmp"
	"context"
	"slices"
)

// stranger is a context of package context that ends a wait, or a scope. Nobody knows when it will, so as long as
// there are any the loop is not taken for stuck.
//
// Package context tells of the end on a goroutine of its own. A context that has ended because a scope did has ended at
// once, though, and the loop looks itself before it lets virtual time go on.
type stranger struct {
	ctx  context.Context
	seq  uint64
	stop func() bool
}

// strangers are those of a loop; guarded by Loop.mu.
type strangers struct {
	of  map[any]*stranger // a parked *Task, or a *scope
	seq uint64
}

// listenLocked has the end of ctx be that of a wait, or of a scope.
func (l *Loop) listenLocked(to any, ctx context.Context) {
	if l.strangers.of == nil {
		l.strangers.of = make(map[any]*stranger)
	}
	l.strangers.seq++
	s := &stranger{ctx: ctx, seq: l.strangers.seq}
	l.strangers.of[to] = s
	s.stop = context.AfterFunc(ctx, func() {
		l.mu.Lock()
		if l.strangers.of[to] == s {
			l.heardLocked(to, s)
		}
		l.unlock(nil)
	})
}

func (l *Loop) heardLocked(to any, s *stranger) {
	switch to := to.(type) {
	case *Task:
		l.wakeLocked(to, context.Cause(s.ctx))
	case *scope:
		to.endLocked(context.Cause(s.ctx))
	}
}

// ignoreLocked ends listenLocked.
func (l *Loop) ignoreLocked(to any) {
	if s := l.strangers.of[to]; s != nil {
		s.stop()
		delete(l.strangers.of, to)
	}
}

// heedLocked looks for contexts that have ended and whose goroutine has not come yet. It reports whether
// there were any.
func (l *Loop) heedLocked() bool {
	var ended []any
	for to, s := range l.strangers.of {
		if s.ctx.Err() != nil {
			ended = append(ended, to)
		}
	}
	slices.SortFunc(ended, func(a, b any) int { return cmp.Compare(l.strangers.of[a].seq, l.strangers.of[b].seq) })
	for _, to := range ended {
		if s := l.strangers.of[to]; s != nil { // one may have ended another
			l.heardLocked(to, s)
		}
	}
	return len(ended) > 0
}
