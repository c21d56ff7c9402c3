package processes

import (
	"context"
	"reflect"
	"slices"
	"time"
)

// submitter is the context of a submitter. Many calls may have the same one.
type submitter struct {
	ctx  context.Context
	refs int         // calls of this submitter that are with workers, or returned
	stop func() bool // nil if the context never ends; then it is not in Pool.submitters
}

// watchLocked returns the submitter of a context. When the context ends, the
// calls of the submitter are canceled. The caller increments refs.
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
		// Cancel the running calls last: when one ends, the worker would begin
		// the next one if the pool had not taken it back.
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

// The pipe of results has a read deadline. When the deadline has passed,
// receive calls check, even if the worker sends nothing. So no other goroutine
// is necessary for the timeouts of calls.

// check notices which calls the worker has begun, cancels calls that exceed
// Options.Timeout, and kills the worker if canceled calls exceed Options.Grace.
// It sets the time of the next check. It reports false if the worker is dead.
func (w *worker) check() bool {
	p := w.pool
	now := time.Now()
	w.measure(now)
	p.mu.Lock()
	if w.isDeadLocked() {
		p.mu.Unlock()
		return false
	}
	w.nextCheck = time.Time{}
	var newest *callFrame
	call, young := 0, false
	for newest, call = range w.runningLocked {
		w.checkClockLocked(newest, call, now)
		if young = !w.usesSlots && !newest.isLongLocked(now); young && w.count > 1 {
			w.checkAtLocked(newest.since.Add(longCall))
		}
	}
	switch {
	case w.showsBegunLocked() && w.count > 0 && newest == nil:
		w.checkAtLocked(now.Add(longCall))
	case w.count > 1 && !young:
		p.wakeWorkerLocked() // an idle worker may steal the calls that wait for a slow one
	}
	w.checkSilenceLocked(now)
	if w.touched && w.count == 0 {
		if over := w.idleSince.Add(p.config.trimAfter); now.Before(over) {
			w.checkAtLocked(over)
		} else {
			w.trimLocked()
		}
	}
	if w.nextCheck.IsZero() {
		w.source.pipe.SetReadDeadline(time.Time{})
	}
	if newest == nil || newest.begun == call { // always true without a journal
		p.mu.Unlock()
		return true
	}
	newest.since = now.Add(-longCall) // the call began before, so it may be long
	w.callBegan(newest, call)
	return true
}

// checkClockLocked cancels a call that has run for longer than Options.Timeout.
// It kills the worker if a canceled call has run for longer than Options.Grace.
func (w *worker) checkClockLocked(f *callFrame, call int, now time.Time) {
	c := f.clock
	if c == nil || c.call != call {
		return
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		c.expires = time.Time{}
		w.cancelCallsLocked(f, call, call+1, ErrTimeout) // later calls have a timeout of their own
	}
	switch {
	case !c.killAt.IsZero() && !now.Before(c.killAt):
		f.killCause = c.why
		w.killLocked(c.why)
	case !c.killAt.IsZero():
		w.checkAtLocked(c.killAt)
	case !c.expires.IsZero():
		w.checkAtLocked(c.expires)
	}
}
