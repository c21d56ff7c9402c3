package processes

import (
	"context"
	"slices"
)

// dropFirstReturnedLocked settles the calls of p.returned[0], because their
// context has ended. It releases mu while it settles them.
func (p *Pool) dropFirstReturnedLocked(cause error) {
	s := p.returned[0]
	p.unwatchLocked(s.submitter)
	p.removeFirstReturnedLocked()
	p.dropLocked(s, cause)
}

// dropLocked settles the calls of s, because their context has ended. No
// worker may have these calls. dropLocked releases mu while it settles them.
func (p *Pool) dropLocked(s callRange, cause error) {
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
		// Cancel the running calls last, after the pool has taken back the
		// other calls. Otherwise the worker would begin the next call when a
		// canceled one ends.
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
