package processes

import (
	"context"
	"reflect"
	"slices"
)

// submitter is the context of a submitter. Many calls may have the same one.
type submitter struct {
	ctx  context.Context
	refs int         // number of frames in workers and of ranges in Pool.returned that have calls of this submitter
	stop func() bool // nil if the context never ends; then the submitter is not in Pool.submitters
}

// watchLocked returns the submitter of a context. When the context ends, the
// calls of the submitter are canceled. The caller must increment refs.
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

// isPointer reports whether a context is a pointer, like the contexts of
// package context. Only pointers are keys of Pool.submitters: a context that is
// a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatchLocked decrements refs, and stops watching the context if no call uses
// the submitter.
func (p *Pool) unwatchLocked(known *submitter) {
	if known.refs--; known.refs == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.submitters[known.ctx] == known {
			delete(p.submitters, known.ctx)
		}
	}
}

// dropFirstReturnedLocked settles the calls of p.returned[0], whose context has
// ended. It releases mu while it does so.
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
	var dropped []callRange
	p.mu.Lock()
	if isPointer(ended.ctx) && p.submitters[ended.ctx] == ended {
		delete(p.submitters, ended.ctx) // later calls with this context get a new submitter, and so a new AfterFunc
	}
	p.returned = slices.DeleteFunc(p.returned, func(s callRange) bool {
		if s.submitter == ended {
			p.unwatchLocked(ended)
			dropped = append(dropped, s)
			return true
		}
		return false
	})
	for w := range p.all {
		for f := range w.frames.all {
			if f.submitter != ended {
				continue
			}
			if back := w.takeBackLocked(f, 0); back.len() > 0 {
				dropped = append(dropped, back)
			}
		}
		// Cancel the running calls last, when the pool has taken back the other
		// calls. Otherwise the worker would begin the next call when a canceled
		// one ends.
		for f := range w.frames.all {
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
