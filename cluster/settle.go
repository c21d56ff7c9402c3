package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
	"concert/internal/lazy"
)

// result takes a result from the stream. Results come one after the other, and
// settle what they are of before they are acknowledged: whatever is not
// acknowledged comes again.
func (e *Executor) result(msg jetstream.Msg) {
	o, err := wire.DecodeOutcome(msg.Data())
	if err != nil { // the subject names the task
		if id, ok := wire.ResultID(msg.Subject()); ok {
			if c := e.named(id); c != nil {
				e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: a worker stored a damaged result of %s: %w", c.lane.function, err))
			}
		}
		msg.TermWithReason("not a result")
		return
	}
	c := e.named(o.ID)
	if c != nil && o.Try != "" && o.Try != c.try { // it is about an earlier call of this id, or another session's
		c = nil
	}
	if c == nil { // the call has ended: this is the report of a worker that was considered lost
		msg.Ack()
		if o.ID.Session != "" && o.Value.Blob != "" {
			e.running.Go(func() { e.conn.DeleteUnverified(e.ctx, e.client, o.Value, wire.IsResultName) })
		}
		return
	}
	absent := o.Dropped && errors.Is(executor.DecodeError(o.Err), jet.ErrAbsent) && !e.isCanceled(c)
	if absent && e.fetches(c) || absent && e.runAgain(c, msg, "the argument", e.send) {
		return
	}
	if o.Value.Blob == "" {
		e.finish(c, &o, executor.Encoded{Kind: o.Value.Kind, Bytes: o.Value.Bytes})
		msg.Ack()
		return
	}
	if e.fetches(c) {
		return // it comes once more, in case that fails
	}
	e.running.Go(func() { // which takes its time
		v, err := e.conn.Download(e.ctx, e.client, o.Value, wire.IsResultName)
		if err != nil && !errors.Is(err, jet.ErrAbsent) { // it comes again
			e.mu.Lock()
			c.fetching = false
			e.mu.Unlock()
			return
		}
		if err != nil && o.ID.Session != "" && e.runAgain(c, msg, "the result", e.sendAgain) {
			return
		}
		if err != nil {
			e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: the result of %s: %w", c.lane.function, err))
		} else {
			e.finish(c, &o, v)
		}
		msg.Ack()
		switch {
		case o.ID.Session == "":
		case err == nil:
			e.conn.Delete(o.Value)
		default:
			e.conn.DeleteUnverified(e.ctx, e.client, o.Value, wire.IsResultName)
		}
	})
}

// fetches reports whether a large value on which the outcome of a call depends
// is being fetched already, and marks it as being fetched.
func (e *Executor) fetches(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := c.fetching
	c.fetching = true
	return before
}

// isCanceled reports whether the last subscriber of a call has left.
func (e *Executor) isCanceled(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.canceled
}

// named returns the call with an id, or nil.
func (e *Executor) named(id wire.TaskID) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.calls[id.Number]; c != nil && c.id == id {
		return c
	}
	return nil
}

// finish ends a call with the report of a worker, unless it has ended.
func (e *Executor) finish(c *call, o *wire.Outcome, v executor.Encoded) {
	var err error
	if o.Err != nil {
		err = executor.DecodeError(o.Err)
	}
	stopped := o.Stopped || o.Dropped && errors.Is(err, context.DeadlineExceeded)
	e.mu.Lock()
	if c.ended {
		e.mu.Unlock()
		return
	}
	worker := e.numbers.of(workerPlace{o.WorkerID, o.Slot}, e.members.Alive)
	if o.Dropped {
		worker = -1
	}
	if o.Took > 0 {
		c.lane.took(o.Took, time.Since(c.begin))
	}
	if o.Dead { // its argument is needed when it is replayed
		c.arg = wire.Value{}
	}
	var next *call // for subscribers with more time
	if stopped {
		next = e.restart(c)
	}
	if next == nil {
		e.beginEnd(c)
	}
	e.mu.Unlock()
	e.finishEnd(c, func(s *subscriber) {
		if o.Dropped && s.hasEnded() != nil {
			e.drop(s)
		} else {
			s.settle(worker, v, s.expired(o, err))
		}
	})
	if next != nil {
		e.running.Go(func() { e.seek(next, e.sendAgain) })
	}
}

// expired returns the error of a subscriber, which is that of its deadline if
// the worker has ended the call as canceled since the deadline had passed here.
// The worker has the deadline as well, but its clock may be behind.
func (s *subscriber) expired(o *wire.Outcome, err error) error {
	ctx := s.batch.Context()
	if r, ok := err.(*concert.RemoteError); ok && o.Stopped && r.Is(context.Canceled) && ctx.Err() == context.DeadlineExceeded {
		return context.Cause(ctx)
	}
	return err
}

// end ends a call, unless it has ended: tell is called with each subscriber,
// and settles it.
func (e *Executor) end(c *call, tell func(s *subscriber)) {
	e.mu.Lock()
	if c.ended {
		e.mu.Unlock()
		return
	}
	e.beginEnd(c)
	e.mu.Unlock()
	e.finishEnd(c, tell)
}

// beginEnd removes a call from the table: from now on its subscribers do not
// change. The caller holds mu, and must call finishEnd without it.
func (e *Executor) beginEnd(c *call) {
	c.ended = true
	delete(e.calls, c.id.Number)
	if c.timer != nil {
		c.timer.Stop()
	}
	for _, s := range c.subscribers {
		if s.stop != nil {
			s.stop()
		}
	}
}

// finishEnd settles the subscribers of a call, by tell, after beginEnd.
func (e *Executor) finishEnd(c *call, tell func(s *subscriber)) {
	for _, s := range c.subscribers {
		tell(s)
	}
	if c.arg.Blob != "" {
		e.conn.Delete(c.arg)
	}
	e.mu.Lock()
	e.setAway(c, false)
	if e.inflight[c.contract]--; e.inflight[c.contract] == 0 {
		delete(e.inflight, c.contract)
	}
	if c.lane.out[c.contract]--; c.lane.out[c.contract] == 0 {
		delete(c.lane.out, c.contract)
	}
	e.forgetLocked(c.subscribers)
	e.mu.Unlock()
	if c.rerouted { // so that workers of the first contract, if any start, do not run it again
		e.cancel(c.try)
	}
	e.rouse()
}

// settle ends a call with its outcome, on a worker of that number, -1 if it ran
// on none.
func (e *Executor) settle(c *call, worker int, v executor.Encoded, err error) {
	e.end(c, func(s *subscriber) { s.settle(worker, v, err) })
}

// hinted takes a hint by a worker of an owner.
func (e *Executor) hinted(owner string, msg []byte) {
	h, err := wire.DecodeHint(msg)
	if err != nil || !wire.OwnsWorker(owner, h.WorkerID) {
		return
	}
	e.mu.Lock()
	c := e.calls[h.Number]
	if c == nil {
		e.mu.Unlock()
		return
	}
	e.setAway(c, h.Retrying)
	worker := e.numbers.of(workerPlace{h.WorkerID, h.Slot}, e.members.Alive)
	c.at, c.worker = h.WorkerID, worker
	subscribers := c.subscribers
	e.mu.Unlock()
	if h.Retrying {
		e.rouse()
	}
	for _, s := range subscribers {
		e.runs(s, worker, &h)
	}
}

// setAway takes note of whether a call is in no worker but waits for another
// attempt: then there is a place for one more. The caller holds mu.
func (e *Executor) setAway(c *call, away bool) {
	switch {
	case away == c.away:
	case away:
		e.away[c.contract]++
	default:
		if e.away[c.contract]--; e.away[c.contract] == 0 {
			delete(e.away, c.contract)
		}
	}
	c.away = away
}

// deadLetterTask ends a canceled call without a report of the cluster. It waits longer
// if a worker that is known to run the call is alive.
func (e *Executor) giveUp(c *call) {
	e.mu.Lock()
	if !c.ended && e.members.Alive(c.at) {
		c.timer.Reset(jet.WorkerTimeout)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.end(c, func(s *subscriber) {
		s.settle(-1, executor.Encoded{}, lazy.Errorf("%w within %v of its cancellation (%w): it may still be running", ErrLost, e.opts.Grace, s.cause()))
	})
}

// cancel has the cluster drop a try, or stop it.
func (e *Executor) cancel(try string) {
	subject, body := wire.Cancellation(e.client, e.session, try)
	e.conn.Publish(&nats.Msg{Subject: subject, Data: body}, cancellation{})
}

// cancellation is what is noted of one that was posted.
type cancellation struct{}
