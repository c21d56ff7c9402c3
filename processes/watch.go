package processes

import (
	"context"
	"reflect"
	"slices"
)

// parent is the context of a submitter, which many calls have in common.
type parent struct {
	ctx     context.Context
	flights int         // with workers
	stop    func() bool // nil for a context that never ends, which is not in the table
}

// watch has calls canceled when the context of their submitter ends. The
// caller holds mu, and counts the flights.
func (p *Pool) watch(ctx context.Context) *parent {
	if ctx.Done() == nil {
		return &p.nobody
	}
	known := &parent{ctx: ctx}
	if isPointer(ctx) {
		if before := p.parents[ctx]; before != nil {
			return before
		}
		p.parents[ctx] = known
	}
	known.stop = context.AfterFunc(ctx, func() { p.parentEnded(known) })
	return known
}

// isPointer reports whether a context may be compared with others, as all of
// package context's may: one that is a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatch takes back the watch of one flight. The caller holds mu.
func (p *Pool) unwatch(known *parent) {
	if known.flights--; known.flights == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.parents[known.ctx] == known {
			delete(p.parents, known.ctx)
		}
	}
}

// dropFirstAgain settles the first calls of again, whose context has ended. The
// caller holds mu, which dropFirstAgain releases while it settles them.
func (p *Pool) dropFirstAgain(cause error) {
	s := p.again[0]
	p.unwatch(s.parent)
	p.again = slices.Delete(p.again, 0, 1)
	p.mu.Unlock()
	s.dropAll(cause)
	p.mu.Lock()
	p.settled(s.len())
}

// parentEnded cancels the calls whose submitter's context has ended.
func (p *Pool) parentEnded(ended *parent) {
	cause := context.Cause(ended.ctx)
	var dropped []span
	p.mu.Lock()
	if isPointer(ended.ctx) && p.parents[ended.ctx] == ended {
		delete(p.parents, ended.ctx) // who comes later is to be told, too
	}
	p.again = slices.DeleteFunc(p.again, func(s span) bool {
		if s.parent == ended {
			p.unwatch(ended)
			dropped = append(dropped, s)
			return true
		}
		return false
	})
	for w := range p.all {
		for f := range w.flights.all {
			if f.parent != ended {
				continue
			}
			if back := w.withdraw(f, 0); back.len() > 0 {
				dropped = append(dropped, back)
			}
		}
		for f := range w.flights.all { // not before: when one has ended, the next begins
			if f.parent == ended {
				w.cancel(f, cause)
			}
		}
	}
	p.mu.Unlock()
	n := 0
	for _, s := range dropped {
		s.dropAll(cause)
		n += s.len()
	}
	p.mu.Lock()
	p.settled(n)
	p.mu.Unlock()
}
