package processes

import (
	"context"
	"reflect"
	"slices"
)

// submitter is the context of a submitter, which many calls may share.
type submitter struct {
	ctx     context.Context
	flights int         // calls of this submitter that are with workers, or returned
	stop    func() bool // nil if the context never ends; then it is not in Pool.submitters
}

// watchLocked arranges that calls are canceled when the context of their
// submitter ends. The caller counts the flights.
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

// isPointer reports whether a context is a pointer, as those of package context
// are. A context that is a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatchLocked ends the watch for one flight.
func (p *Pool) unwatchLocked(known *submitter) {
	if known.flights--; known.flights == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.submitters[known.ctx] == known {
			delete(p.submitters, known.ctx)
		}
	}
}

// dropFirstReturnedLocked settles the first span of p.returned, whose context
// has ended. It releases mu while it does so.
func (p *Pool) dropFirstReturnedLocked(cause error) {
	s := p.returned[0]
	p.unwatchLocked(s.submitter)
	p.returned = slices.Delete(p.returned, 0, 1)
	p.mu.Unlock()
	s.dropAll(cause)
	p.mu.Lock()
	p.countSettledLocked(s.len())
}

// submitterDone cancels the calls of a submitter whose context has ended.
func (p *Pool) submitterDone(ended *submitter) {
	cause := context.Cause(ended.ctx)
	var dropped []span
	p.mu.Lock()
	if isPointer(ended.ctx) && p.submitters[ended.ctx] == ended {
		delete(p.submitters, ended.ctx) // a later task with this context gets a watch of its own
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
		for f := range w.flights.all { // after all withdrawals: when a call ends, the next one begins
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
