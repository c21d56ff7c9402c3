package processes

import (
	"context"
	"reflect"
	"slices"
)

// parent is the context of a submitter, which many calls have in common.
type submitter struct {
	ctx     context.Context
	flights int         // with workers
	stop    func() bool // nil for a context that never ends, which is not in the table
}

// watch has calls canceled when the context of their submitter ends. The
// caller holds mu, and counts the flights.
func (p *Pool) watchLocked(ctx context.Context) *submitter {
	if ctx.Done() == nil {
		return &p.endless
	}
	known := &submitter{ctx: ctx}
	if isPointer(ctx) {
		if before := p.submitters[ctx]; before != nil {
			return before
		}
		p.submitters[ctx] = known
	}
	known.stop = context.AfterFunc(ctx, func() { p.submitterDone(known) })
	return known
}

// isPointer reports whether a context may be compared with others, as all of
// package context's may: one that is a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatch takes back the watch of one flight.
func (p *Pool) unwatchLocked(known *submitter) {
	if known.flights--; known.flights == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.submitters[known.ctx] == known {
			delete(p.submitters, known.ctx)
		}
	}
}

// dropFirstAgain settles the first calls of again, whose context has ended. The
// caller holds mu, which dropFirstAgain releases while it settles them.
func (p *Pool) dropFirstReturnedLocked(cause error) {
	s := p.returned[0]
	p.unwatchLocked(s.submitter)
	p.returned = slices.Delete(p.returned, 0, 1)
	p.mu.Unlock()
	s.dropAll(cause)
	p.mu.Lock()
	p.countSettledLocked(s.len())
}

// parentEnded cancels the calls whose submitter's context has ended.
func (p *Pool) submitterDone(ended *submitter) {
	cause := context.Cause(ended.ctx)
	var dropped []span
	p.mu.Lock()
	if isPointer(ended.ctx) && p.submitters[ended.ctx] == ended {
		delete(p.submitters, ended.ctx) // who comes later is to be told, too
	}
	p.returned = slices.DeleteFunc(p.returned, func(s span) bool {
		if s.submitter == ended {
			p.unwatchLocked(ended)
			dropped = append(dropped, s)
			return true
		}
		return false
	})
	for w := range p.all {
		for f := range w.flights.all {
			if f.submitter != ended {
				continue
			}
			if back := w.takeBackLocked(f, 0); back.len() > 0 {
				dropped = append(dropped, back)
			}
		}
		for f := range w.flights.all { // not before: when one has ended, the next begins
			if f.submitter == ended {
				w.cancelLocked(f, cause)
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
	p.countSettledLocked(n)
	p.mu.Unlock()
}
