package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// onResult takes a result from the stream. Results come one after the other, and
// settle what they are of before they are acknowledged: whatever is not
// acknowledged comes again.
func (e *Executor) onResult(msg jetstream.Msg) {
	o, err := wire.DecodeOutcome(msg.Data())
	if err != nil { // the subject names the task
		if id, ok := wire.ResultID(msg.Subject()); ok {
			if c := e.callByID(id); c != nil {
				e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: a worker stored a damaged result of %s: %w", c.queue.function, err))
			}
		}
		msg.TermWithReason("not a result")
		return
	}
	c := e.callByID(o.ID)
	if c != nil && o.Try != "" && o.Try != c.try { // it is about an earlier call of this id, or another session's
		c = nil
	}
	if c == nil { // the call has ended: this is the report of a worker that was considered lost
		msg.Ack()
		if o.ID.Session != "" && o.Value.Blob != "" {
			e.background.Go(func() { e.conn.DeleteUnverified(e.ctx, e.client, o.Value, wire.IsResultName) })
		}
		return
	}
	absent := o.Dropped && errors.Is(executor.DecodeError(o.Err), jet.ErrAbsent) && !e.isCanceled(c)
	if absent && e.startDownload(c) || absent && e.rerun(c, msg, "the argument", e.send) {
		return
	}
	if o.Value.Blob == "" {
		e.complete(c, &o, executor.Encoded{Kind: o.Value.Kind, Bytes: o.Value.Bytes})
		msg.Ack()
		return
	}
	if e.startDownload(c) {
		return // it comes once more, in case that fails
	}
	e.background.Go(func() { // which takes its time
		v, err := e.conn.Download(e.ctx, e.client, o.Value, wire.IsResultName)
		if err != nil && !errors.Is(err, jet.ErrAbsent) { // it comes again
			e.mu.Lock()
			c.downloading = false
			e.mu.Unlock()
			return
		}
		if err != nil && o.ID.Session != "" && e.rerun(c, msg, "the result", e.resend) {
			return
		}
		if err != nil {
			e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: the result of %s: %w", c.queue.function, err))
		} else {
			e.complete(c, &o, v)
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

// startDownload reports whether a large value on which the outcome of a call depends
// is being fetched already, and marks it as being fetched.
func (e *Executor) startDownload(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := c.downloading
	c.downloading = true
	return before
}

// isCanceled reports whether the last subscriber of a call has left.
func (e *Executor) isCanceled(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return c.canceled
}

// callByID returns the call with an id, or nil.
func (e *Executor) callByID(id wire.TaskID) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.calls[id.Number]; c != nil && c.id == id {
		return c
	}
	return nil
}

// complete ends a call with the report of a worker, unless it has ended.
func (e *Executor) complete(c *call, o *wire.Outcome, v executor.Encoded) {
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
	worker := e.slotNumbers.number(workerSlot{o.WorkerID, o.Slot}, e.members.Alive)
	if o.Dropped {
		worker = -1
	}
	if o.Took > 0 {
		c.queue.record(o.Took, time.Since(c.sentAt))
	}
	if o.Dead { // its argument is needed when it is replayed
		c.arg = wire.Value{}
	}
	var next *call // for subscribers with more time
	if stopped {
		next = e.restartLocked(c)
	}
	if next == nil {
		e.removeLocked(c)
	}
	e.mu.Unlock()
	e.settleRemoved(c, func(s *subscriber) {
		if o.Dropped && s.hasEnded() != nil {
			e.settleCanceled(s)
		} else {
			s.settle(worker, v, s.expired(o, err))
		}
	})
	if next != nil {
		e.background.Go(func() { e.findKept(next, e.resend) })
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

// settleEach ends a call, unless it has ended: tell is called with each subscriber,
// and settles it.
func (e *Executor) settleEach(c *call, tell func(s *subscriber)) {
	e.mu.Lock()
	if c.ended {
		e.mu.Unlock()
		return
	}
	e.removeLocked(c)
	e.mu.Unlock()
	e.settleRemoved(c, tell)
}

// removeLocked removes a call from the table: from now on its subscribers do not
// change. The caller holds mu, and must call settleRemoved without it.
func (e *Executor) removeLocked(c *call) {
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

// settleRemoved settles the subscribers of a call, by tell, after removeLocked.
func (e *Executor) settleRemoved(c *call, tell func(s *subscriber)) {
	for _, s := range c.subscribers {
		tell(s)
	}
	if c.arg.Blob != "" {
		e.conn.Delete(c.arg)
	}
	e.mu.Lock()
	e.setRetryingLocked(c, false)
	if e.inflight[c.setName]--; e.inflight[c.setName] == 0 {
		delete(e.inflight, c.setName)
	}
	if c.queue.sent[c.setName]--; c.queue.sent[c.setName] == 0 {
		delete(c.queue.sent, c.setName)
	}
	e.forgetLocked(c.subscribers)
	e.mu.Unlock()
	if c.rerouted { // so that workers of the first contract, if any start, do not run it again
		e.publishCancel(c.try)
	}
	e.notify()
}

// settle ends a call with its outcome, on a worker of that number, -1 if it ran
// on none.
func (e *Executor) settle(c *call, worker int, v executor.Encoded, err error) {
	e.settleEach(c, func(s *subscriber) { s.settle(worker, v, err) })
}

// onHint takes a hint by a worker of an owner.
func (e *Executor) onHint(owner string, msg []byte) {
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
	e.setRetryingLocked(c, h.Retrying)
	worker := e.slotNumbers.number(workerSlot{h.WorkerID, h.Slot}, e.members.Alive)
	c.workerID, c.slotNumber = h.WorkerID, worker
	subscribers := c.subscribers
	e.mu.Unlock()
	if h.Retrying {
		e.notify()
	}
	for _, s := range subscribers {
		e.reportRunning(s, worker, &h)
	}
}

// setRetryingLocked takes note of whether a call is in no worker but waits for another
// attempt: then there is a place for one more. The caller holds mu.
func (e *Executor) setRetryingLocked(c *call, away bool) {
	switch {
	case away == c.retrying:
	case away:
		e.retrying[c.setName]++
	default:
		if e.retrying[c.setName]--; e.retrying[c.setName] == 0 {
			delete(e.retrying, c.setName)
		}
	}
	c.retrying = away
}
