package client

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

// onResult handles a result from the stream. The consumer calls it
// sequentially. onResult settles the call before it acknowledges the result. So
// if the client cannot handle a result, the servers deliver the result again.
func (e *Executor) onResult(msg jetstream.Msg) {
	o, err := wire.DecodeOutcome(msg.Data())
	if err != nil { // the task is known only from the subject
		if id, ok := wire.ResultID(msg.Subject()); ok {
			if c := e.callByID(id); c != nil {
				e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: a worker stored a damaged result of %s: %w", c.queue.function, err))
			}
		}
		msg.TermWithReason("not a result")
		return
	}
	c := e.callByID(o.ID)
	if c != nil && o.Try != "" && o.Try != c.try { // the result is for an earlier call with this id, or for another session
		c = nil
	}
	if c == nil { // the call has ended: this is a second result, of a worker that was considered lost
		msg.Ack()
		if o.ID.Session != "" && o.Value.Blob != "" {
			e.background.Go(func() { e.conn.DeleteUnverified(e.ctx, e.client, o.Value, wire.IsResultName) })
		}
		return
	}
	absent := o.Dropped && errors.Is(executor.DecodeError(o.Err), jet.ErrAbsent) && !e.isCanceled(c)
	what := "the argument"
	if absent && len(o.Missing) > 0 {
		what = "a shared value"
		if err := e.onMissing(c, o.Missing); err != nil {
			e.settle(c, -1, executor.Encoded{}, err)
			msg.Ack()
			return
		}
	}
	if absent && e.startDownload(c) || absent && e.rerun(c, msg, what, e.send) {
		return
	}
	if o.Value.Blob == "" {
		e.complete(c, &o, o.Value.Encoded)
		msg.Ack()
		return
	}
	if e.startDownload(c) {
		return // not acknowledged: the servers deliver the result again, which is needed if the download fails
	}
	e.background.Go(func() { // the download may take long
		v, err := e.conn.Download(e.ctx, e.client, o.Value, wire.IsResultName)
		if err != nil && !errors.Is(err, jet.ErrAbsent) { // the servers deliver the result again
			e.mu.Lock()
			c.downloading = false
			e.mu.Unlock()
			return
		}
		if err != nil && o.ID.Session != "" && e.rerun(c, msg, "the result", e.resend) {
			return
		}
		if err != nil {
			e.settle(c, -1, executor.Encoded{}, fmt.Errorf("cluster: downloading the result of %s: %w", c.queue.function, err))
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

// startDownload records that the outcome of a call depends on a large value,
// which is being downloaded or replaced. It reports whether startDownload had
// recorded this earlier.
func (e *Executor) startDownload(c *call) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := c.downloading
	c.downloading = true
	return before
}

// isCanceled reports whether the last subscriber of a call was canceled.
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

// complete settles a call with the outcome that a worker has stored, unless the
// call has ended.
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
	if o.Dead { // keep the uploaded argument, which a replay of the dead letter needs
		c.arg = wire.Value{}
	}
	var next *call // for subscribers with a later deadline
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
			s.settleTimed(worker, o.Took, v, s.expired(o, err))
		}
	})
	if next != nil {
		e.background.Go(func() { e.findKept(next, e.resend) })
	}
}

// expired returns the error with which a subscriber settles. The worker may
// report that the call was canceled, although the deadline of the subscriber
// has passed: the clock of the worker may be slow. Then expired returns the
// error of the deadline instead of err.
func (s *subscriber) expired(o *wire.Outcome, err error) error {
	ctx := s.batch.Context()
	if r, ok := err.(*concert.RemoteError); ok && o.Stopped && r.Is(context.Canceled) && ctx.Err() == context.DeadlineExceeded {
		return context.Cause(ctx)
	}
	return err
}

// settleEach removes a call, and calls settle for each subscriber. If the call
// has ended already, settleEach does nothing.
func (e *Executor) settleEach(c *call, settle func(s *subscriber)) {
	e.mu.Lock()
	if c.ended {
		e.mu.Unlock()
		return
	}
	e.removeLocked(c)
	e.mu.Unlock()
	e.settleRemoved(c, settle)
}

// removeLocked removes a call from Executor.calls. After that, its subscribers
// do not change. The caller must call settleRemoved when it has released mu.
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

// settleRemoved calls settle for each subscriber of a call that removeLocked
// has removed.
func (e *Executor) settleRemoved(c *call, settle func(s *subscriber)) {
	for _, s := range c.subscribers {
		settle(s)
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
	if c.rerouted { // a worker with the first capability set must not run the first task
		e.publishCancel(c.try)
	}
	e.notify()
}

// settle settles a call with its outcome. The parameter worker is the number
// of the slot in which the call has run, or -1 if it did not run.
func (e *Executor) settle(c *call, worker int, v executor.Encoded, err error) {
	e.settleEach(c, func(s *subscriber) { s.settle(worker, v, err) })
}

// onHint handles a hint. The parameter owner is the owner of the worker that
// has sent the hint.
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

// setRetryingLocked records whether a call waits for another attempt. Such a
// call uses no slot.
func (e *Executor) setRetryingLocked(c *call, retrying bool) {
	switch {
	case retrying == c.retrying:
	case retrying:
		e.retrying[c.setName]++
	default:
		if e.retrying[c.setName]--; e.retrying[c.setName] == 0 {
			delete(e.retrying, c.setName)
		}
	}
	c.retrying = retrying
}

// workerSlot is a slot of a worker. Observers receive the number of the slot as
// the number of a worker.
type workerSlot struct {
	worker string // its id
	slot   int
}

// slotNumbers numbers the slots of workers in the order in which they appear.
// It never uses a number twice. From time to time it deletes the slots of lost
// workers. Otherwise the map would grow, because a worker that starts again has
// another id, and a client may run for months.
type slotNumbers struct {
	known   map[workerSlot]int
	next    int
	sweepAt int // the number of slots in known at which the slots of lost workers are deleted
}

const minSweep = 1024

// number returns the number of a slot. The function alive must report
// whether a worker exists.
func (n *slotNumbers) number(p workerSlot, alive func(worker string) bool) int {
	number, known := n.known[p]
	if known {
		return number
	}
	if n.known == nil {
		n.known, n.sweepAt = map[workerSlot]int{}, minSweep
	}
	if len(n.known) >= n.sweepAt {
		for other := range n.known {
			if !alive(other.worker) {
				delete(n.known, other)
			}
		}
		n.sweepAt = max(minSweep, 2*len(n.known))
	}
	number = n.next
	n.next++
	n.known[p] = number
	return number
}
