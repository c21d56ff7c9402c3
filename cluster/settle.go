package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster/internal/wire"
)

// result takes a result from the stream. Results come one after the other, and settle what they are of before they
// are acknowledged: whatever is not acknowledged comes again.
func (e *Executor) result(msg jetstream.Msg) {
	o, err := wire.DecodeOutcome(msg.Data())
	if err != nil { // the subject names the task
		if id, ok := wire.ResultID(msg.Subject()); ok {
			for _, c := range e.named(id) {
				e.settle(c, -1, concert.Encoded{}, fmt.Errorf("cluster: a worker stored a damaged result of %s: %w", c.batch.Name, err))
			}
		}
		msg.TermWithReason("not a result")
		return
	}
	calls := e.named(o.ID)
	if o.Try != "" { // it is about this one, not about others of the same id
		calls = slices.DeleteFunc(calls, func(c *call) bool { return c.try != o.Try })
	}
	if len(calls) == 0 { // of one that has settled, by a worker that was thought to be lost
		msg.Ack()
		if o.ID.Session != "" && o.Value.Load != "" {
			e.running.Go(func() { e.link.discardUnread(e.ctx, e.client, o.Value, wire.IsResult) })
		}
		return
	}
	first := calls[0]
	absent := o.Dropped && errors.Is(concert.DecodeError(o.Err), errAbsent)
	if absent && first.fetches() || absent && e.runAgain(first, msg, "the argument", e.send) {
		return
	}
	if o.Value.Load == "" {
		for _, c := range calls {
			e.finish(c, &o, concert.Encoded{Kind: o.Value.Kind, Bytes: o.Value.Bytes})
		}
		msg.Ack()
		return
	}
	if first.fetches() {
		return // it comes once more, in case that fails
	}
	e.running.Go(func() { // which takes its time
		v, err := e.link.fetch(e.ctx, e.client, o.Value, wire.IsResult)
		if err != nil && !errors.Is(err, errAbsent) { // it comes again
			first.mu.Lock()
			first.fetching = false
			first.mu.Unlock()
			return
		}
		if err != nil && o.ID.Session != "" && e.runAgain(first, msg, "the result", e.sendAgain) {
			return
		}
		for _, c := range calls {
			if err != nil {
				e.settle(c, -1, concert.Encoded{}, fmt.Errorf("cluster: the result of %s: %w", c.batch.Name, err))
				continue
			}
			e.finish(c, &o, v)
		}
		msg.Ack()
		switch {
		case o.ID.Session == "":
		case err == nil:
			e.link.discard(o.Value)
		default:
			e.link.discardUnread(e.ctx, e.client, o.Value, wire.IsResult)
		}
	})
}

// fetches reports whether something that its result depends on is on its way already; from now on it is.
func (c *call) fetches() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.fetching
	c.fetching = true
	return before
}

// named returns the calls of an id: one, or some that were given the same.
func (e *Executor) named(id wire.TaskID) (calls []*call) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for c := e.calls[id.Number]; c != nil; c = c.twin {
		if c.id == id {
			calls = append(calls, c)
		}
	}
	return calls
}

// remove takes a call out of the table. The caller holds mu.
func (e *Executor) remove(c *call) {
	first := e.calls[c.id.Number]
	switch {
	case first != c:
		for ; first != nil; first = first.twin {
			if first.twin == c {
				first.twin = c.twin
			}
		}
	case c.twin == nil:
		delete(e.calls, c.id.Number)
	default:
		e.calls[c.id.Number] = c.twin
	}
}

// finish settles a call with what a worker said.
func (e *Executor) finish(c *call, o *wire.Outcome, v concert.Encoded) {
	worker := e.workerNumber(o.At, o.Worker)
	var err error
	if o.Err != nil {
		err = c.deadline(o, concert.DecodeError(o.Err))
	}
	if o.Dropped {
		worker = -1
	}
	e.mu.Lock()
	if o.Took > 0 {
		c.lane.took(o.Took, time.Since(c.begin))
	}
	e.mu.Unlock()
	if o.Dead { // its argument is needed when it is replayed
		c.mu.Lock()
		c.arg = wire.Value{}
		c.mu.Unlock()
	}
	if o.Dropped && c.batch.Context().Err() != nil {
		e.drop(c)
		return
	}
	e.settle(c, worker, v, err)
}

// deadline returns the error of a call, which is that of its deadline if the
// worker has ended it as canceled since the deadline had passed here. The
// worker has the deadline as well, but its clock may be behind.
func (c *call) deadline(o *wire.Outcome, err error) error {
	ctx := c.batch.Context()
	if r, ok := err.(*concert.RemoteError); ok && o.Stopped && r.Is(context.Canceled) && ctx.Err() == context.DeadlineExceeded {
		return context.Cause(ctx)
	}
	return err
}

// workerNumber is the number that an observer is told of a place of a worker.
func (e *Executor) workerNumber(worker string, place int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.numbers.of(workerPlace{worker, place}, e.roster.alive)
}

// end ends a call, once: say tells its batch, with the number of the worker that it is known to have begun on, or -1.
func (e *Executor) end(c *call, say func(worker int)) {
	c.mu.Lock()
	if c.settled {
		c.mu.Unlock()
		return
	}
	c.settled = true
	if c.timer != nil {
		c.timer.Stop()
	}
	watch, unwatch, arg := c.watch, c.unwatch, c.arg
	func() {
		defer c.mu.Unlock() // a decoder is anybody's code
		say(c.worker)
	}()
	if watch != nil {
		watch.release()
	}
	if unwatch != nil {
		unwatch()
	}
	if arg.Load != "" {
		e.link.discard(arg)
	}
	e.mu.Lock()
	e.remove(c)
	if t := c.batch.Task(); t != nil {
		delete(e.tasks, t)
	}
	e.setAway(c, false)
	if e.inflight[c.contract]--; e.inflight[c.contract] == 0 {
		delete(e.inflight, c.contract)
	}
	if c.lane.out[c.contract]--; c.lane.out[c.contract] == 0 {
		delete(c.lane.out, c.contract)
	}
	var left []string // that have to be cancelled
	if c.rerouted {   // or it would run once more when there are workers again as those that it was sent to first
		left = append(left, c.try)
	}
	if heir := e.heir(c); heir != nil {
		heir.also = append(heir.also, c.also...)
	} else {
		left = append(left, c.also...)
	}
	e.checkEnd()
	e.mu.Unlock()
	for _, try := range left {
		e.cancel(try)
	}
	e.rouse()
}

// settle ends a call with its outcome, on a worker of that number, -1 if it ran on none.
func (e *Executor) settle(c *call, worker int, v concert.Encoded, err error) {
	e.end(c, func(on int) {
		if on < 0 && worker >= 0 && c.batch.Start(c.i, worker) {
			on = worker
		}
		c.batch.Settle(c.i, on, v, err)
	})
}

// abandon ends a call that nobody wants any more: at once if nobody else has it.
func (e *Executor) abandon(c *call) {
	e.mu.Lock()
	posted := c.posted
	e.mu.Unlock()
	if posted {
		e.unwanted(c)
	} else {
		e.drop(c)
	}
}

// drop ends a call that never started, as its submitter does not want it any more.
func (e *Executor) drop(c *call) {
	e.end(c, func(on int) {
		if cause := c.cause(); on >= 0 || c.kept { // it did start, on a worker that was lost
			c.batch.Settle(c.i, on, concert.Encoded{}, cause)
		} else {
			c.batch.Drop(c.i, cause)
		}
	})
}

// cause is why nobody wants the call: that of its context, which is a moment late when its task is cancelled.
func (c *call) cause() error {
	if cause := context.Cause(c.batch.Context()); cause != nil {
		return cause
	}
	return concert.ErrCancelled
}

// hinted takes a hint by a worker of an owner.
func (e *Executor) hinted(owner string, msg []byte) {
	h, err := wire.DecodeHint(msg)
	if err != nil || !wire.OwnsWorker(owner, h.At) {
		return
	}
	e.mu.Lock()
	var calls []*call
	for c := e.calls[h.Number]; c != nil; c = c.twin {
		e.setAway(c, h.Away)
		calls = append(calls, c)
	}
	e.mu.Unlock()
	if h.Away {
		e.rouse()
	}
	if len(calls) == 0 {
		return
	}
	worker := e.workerNumber(h.At, h.Worker)
	for _, c := range calls {
		e.runs(c, worker, &h)
	}
}

// setAway takes note of whether a call is in no worker but waits for another attempt: then there is a place for one more. The caller holds mu.
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

// runs takes note that a call runs.
func (e *Executor) runs(c *call, worker int, h *wire.Hint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled {
		return
	}
	c.at = h.At
	if c.worker < 0 && c.batch.Start(c.i, worker) {
		c.worker = worker
		if c.batch.Task() != nil { // from now on that is how it is cancelled
			c.unwatch = context.AfterFunc(c.batch.Context(), func() { e.unwanted(c) })
		}
	}
	if c.worker >= 0 && (h.Done != 0 || h.Total != 0) {
		c.batch.Progress(c.i, c.worker, h.Done, h.Total)
	}
}

// giveUp settles a call that nobody wants without word of it; but not while a worker is there that is known to run it.
func (e *Executor) giveUp(c *call) {
	c.mu.Lock()
	if !c.settled && e.roster.alive(c.at) {
		c.timer.Reset(silence)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	e.settle(c, -1, concert.Encoded{}, fmt.Errorf("%w, which was cancelled (%w), for %v: it may run still", ErrLost, c.cause(), e.opts.Grace))
}

// unwanted has the cluster drop a call, or stop it, and settles it without its word if there is none for the grace period.
func (e *Executor) unwanted(c *call) {
	c.mu.Lock()
	if c.settled || c.unwanted {
		c.mu.Unlock()
		return
	}
	c.unwanted = true
	c.timer = time.AfterFunc(e.opts.Grace, func() { e.giveUp(c) })
	c.mu.Unlock()
	tries, wanted := e.bequeath(c)
	if wanted {
		e.drop(c)
		return
	}
	for _, try := range tries {
		e.cancel(try)
	}
}

// bequeath reports whether others want what a call is of, which nobody does any more, or returns the tries by which it may run. One of others that were not wanted
// before may be what runs: so the last one has all of them cancelled.
func (e *Executor) bequeath(c *call) (tries []string, wanted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c.gone = true
	tries, c.also = append(c.also, c.try), nil
	if heir := e.heir(c); heir != nil {
		heir.also = append(heir.also, tries...)
		return nil, true
	}
	return tries, false
}

// heir is another call of the same id that is wanted; nil if there is none. The caller holds mu.
func (e *Executor) heir(c *call) *call {
	for o := e.calls[c.id.Number]; o != nil; o = o.twin {
		if o != c && o.id == c.id && !o.gone {
			return o
		}
	}
	return nil
}

// cancel has the cluster drop a try, or stop it.
func (e *Executor) cancel(try string) {
	subject, body := wire.Cancellation(e.client, e.session, try)
	e.link.post(&nats.Msg{Subject: subject, Data: body}, cancellation{})
}

// cancellation is what is noted of one that was posted.
type cancellation struct{}
