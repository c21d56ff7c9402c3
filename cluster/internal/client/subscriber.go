package client

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// Submits with the same id, see WithID, share one call, as in
// golang.org/x/sync/singleflight. Each of these Submits is a subscriber of
// the call. A Submit without an id has its own call, with one subscriber.
//
// Executor.calls has one call for each id. The steps of a subscriber, and the
// race that each of them prevents:
//
//  1. joinLocked: under mu, a Submit finds the call of its id and is added to
//     the subscribers, or adds a call of its own to the table. So two Submits
//     at the same time cannot both add a call. The first Submit in a queue can
//     join a call even if the workers have no free slots.
//  2. The client looks for a kept result of the call, publishes the call, and
//     sends it again if it was lost. A worker runs it, maybe several times. A
//     Submit may join in each of these states. A subscriber that joins while
//     the call runs starts at once, because the worker does not report the
//     start again. If the call waits for another attempt, the subscriber starts
//     with this attempt.
//  3. cancelSubscriber: under mu, a canceled subscriber is removed from the
//     call, and settles at once. This has no effect on the other subscribers.
//     The last subscriber is not removed: the call is canceled, and the cluster
//     reports its outcome.
//  4. A Submit that finds a canceled call does not join the call, because then
//     the Submit would be canceled, too. Instead, it replaces the call in the
//     table by a call with a new try. The cancellation and the outcomes of the
//     canceled call contain its try, so they have no effect on the new call.
//     The last subscriber of the canceled call settles now.
//  5. settleEach: under mu, the call is removed from the table. Then, without
//     mu, each of its subscribers settles, because a decoder may take long. A
//     Submit that has joined earlier settles with the others. A Submit that
//     comes later finds no call, adds a call, and finds the kept result. So no
//     Submit waits for a result that was delivered before it joined.
//
// The oldest subscriber determines the argument, deadline, label and retries of
// the call. When this deadline has passed, the worker stops the function, even
// if other subscribers have a later deadline. These subscribers get a new call,
// see restartLocked, as if they had submitted it at that moment.
//
// Errors of the call itself, such as ErrDead, are the outcome of all its
// subscribers.

// subscriber is a Submit, or an input of a Map, that waits for the outcome of a
// call.
type subscriber struct {
	batch    *executor.Batch
	trace    string // the text for distributed tracing that the worker receives
	i        int    // index in the batch
	deadline int64  // Unix time in milliseconds; 0 for none, and for a call without an id

	call     *call              // guarded by the executor's mu
	canceled bool               // guarded by the executor's mu
	ctx      context.Context    // guarded by the executor's mu: ends when the subscriber is canceled or settles; nil until uploadArg needs it
	stop     context.CancelFunc // guarded by the executor's mu: ends ctx; nil without ctx

	reportedRunning atomic.Bool    // Withdraw has reported that the task runs
	argUses         sync.WaitGroup // number of uses of the argument, which the program may change when the subscriber has settled

	mu         sync.Mutex    // guards the following, and is held while the batch is used
	slotNumber int           // the number of the slot in which the subscriber has started; -1 if it has not started
	settled    bool          // the subscriber has its outcome
	context    *contextWatch // watches the context of the submitter; nil if this context never ends
	unwatch    func() bool   // stops watching the context of the running task; nil if it is not watched
}

// cause returns why the subscriber is canceled. The context of a canceled task
// may end a moment later. Until then, cause returns ErrCanceled.
func (s *subscriber) cause() error {
	if cause := s.hasEnded(); cause != nil {
		return cause
	}
	return concert.ErrCanceled
}

// hasEnded returns the cause with which the context of the subscriber or of its
// submitter has ended, or nil. The submitter's context ends first, and the
// contexts that derive from it end a moment later.
func (s *subscriber) hasEnded() error {
	if cause := context.Cause(s.batch.Context()); cause != nil {
		return cause
	}
	return context.Cause(s.batch.Parent())
}

// newCalls makes a call of this package for each call of an executor.Batch. The
// caller adds these calls to Executor.calls. newCalls uses methods of the
// submitter's context, so the caller must not hold mu.
func (e *Executor) newCalls(q *funcQueue, batch *executor.Batch, set string) []*call {
	id, named := batch.Parent().Value(idKey{}).(string)
	deadline := int64(0)
	if d, ok := batch.Context().Deadline(); ok && named {
		deadline = d.UnixMilli()
	}
	begin, calls := time.Now(), make([]*call, len(batch.Args))
	for i := range calls {
		c := &call{queue: q, setName: set, sentAt: begin, slotNumber: -1}
		c.own = subscriber{batch: batch, i: i, trace: batch.CallTrace(i), deadline: deadline, call: c, slotNumber: -1}
		c.subscribers = append(c.one[:0], &c.own)
		if named {
			index := int64(submitIndex)
			if batch.Task() == nil {
				index = batch.Index(i)
			}
			c.id = wire.TaskID{Client: e.client, Number: numberOfID(q.function, index, id)}
		}
		calls[i] = c
	}
	return calls
}

// joinLocked adds the subscriber of a new call to the call with the same id. If
// there is no such call, it adds the new call to Executor.calls and reports
// true. If the new call replaces a canceled call, joinLocked returns the
// canceled call, and the caller must pass that call to settleRemoved.
func (e *Executor) joinLocked(c *call) (added bool, replaced *call) {
	s := &c.own
	e.unsettled++
	if t := s.batch.Task(); t != nil {
		e.subscribers[t] = s
	}
	if c.shared() {
		switch before := e.calls[c.id.Number]; {
		case before == nil:
		case !before.canceled:
			s.call = before
			before.subscribers = append(before.subscribers, s)
			return false, nil
		default:
			e.removeLocked(before)
			replaced = before
		}
	}
	e.addLocked(c)
	return true, replaced
}

// cancelSubscriber cancels a subscriber, once.
func (e *Executor) cancelSubscriber(s *subscriber) {
	e.mu.Lock()
	c := s.call
	if s.canceled || c.ended {
		e.mu.Unlock()
		return
	}
	s.canceled = true
	last := len(c.subscribers) == 1
	if s.stop != nil {
		s.stop()
	}
	switch {
	case !last:
		c.subscribers = without(c.subscribers, s)
		e.mu.Unlock()
		e.settleCanceled(s)
		e.forget(s)
	case !c.published:
		e.removeLocked(c)
		e.mu.Unlock()
		e.settleRemoved(c, e.settleCanceled)
	default:
		c.canceled = true
		c.timer = time.AfterFunc(e.opts.Grace, func() { e.timeoutCancel(c) })
		e.mu.Unlock()
		e.publishCancel(c.try)
	}
}

// without returns a list of subscribers from which one subscriber is removed.
// The result is a copy, because other goroutines may iterate over the slice.
func without(all []*subscriber, s *subscriber) []*subscriber {
	i := slices.Index(all, s)
	return slices.Concat(all[:i], all[i+1:])
}

// After a worker has stopped a call at its deadline, restartLocked makes a new
// call for the subscribers with a later deadline. The new call replaces the
// stopped call. restartLocked returns the new call, or nil if there are no such
// subscribers.
func (e *Executor) restartLocked(c *call) *call {
	more, expired := []*subscriber(nil), []*subscriber(nil)
	for _, s := range c.subscribers {
		if !s.canceled && (s.deadline == 0 || s.deadline > c.earliestDeadline) {
			more = append(more, s)
		} else {
			expired = append(expired, s)
		}
	}
	if c.earliestDeadline == 0 || len(more) == 0 {
		return nil
	}
	n := &call{id: c.id, queue: c.queue, setName: c.setName, sentAt: time.Now(), slotNumber: -1, subscribers: more}
	for _, s := range more {
		s.call = n
	}
	c.subscribers = expired
	e.removeLocked(c)
	e.addLocked(n)
	return n
}

// settle settles a subscriber with the outcome of its call. The parameter
// worker is the number of the slot in which the call has run, or -1 if it
// did not run.
func (s *subscriber) settle(worker int, v executor.Encoded, err error) {
	s.settleTimed(worker, 0, v, err)
}

// settleTimed does the same as settle, and records the run time of the call,
// unless it is 0.
func (s *subscriber) settleTimed(worker int, took time.Duration, v executor.Encoded, err error) {
	s.settleOnce(func() {
		if s.slotNumber < 0 && worker >= 0 && s.batch.Start(s.i, worker) {
			s.slotNumber = worker
		}
		if s.slotNumber >= 0 && took > 0 {
			s.batch.Ran(s.slotNumber, 1, took)
		}
		s.batch.Settle(s.i, s.slotNumber, v, err)
	})
}

// settleCanceled settles a canceled subscriber without waiting for the cluster.
func (e *Executor) settleCanceled(s *subscriber) {
	s.settleOnce(func() {
		if cause := s.cause(); s.slotNumber >= 0 || s.reportedRunning.Load() {
			s.batch.Settle(s.i, s.slotNumber, executor.Encoded{}, cause)
		} else {
			s.batch.Drop(s.i, cause)
		}
	})
}

// settleOnce calls settle, unless the subscriber has settled.
func (s *subscriber) settleOnce(settle func()) {
	s.mu.Lock()
	if s.settled {
		s.mu.Unlock()
		return
	}
	s.settled = true
	s.argUses.Wait()
	watch, unwatch := s.context, s.unwatch
	func() {
		defer s.mu.Unlock() // settle may call user code, which may panic
		settle()
	}()
	if watch != nil {
		watch.release()
	}
	if unwatch != nil {
		unwatch()
	}
}

// reportRunning records that the call of a subscriber runs in a slot, and
// reports its progress. The hint h may be nil.
func (e *Executor) reportRunning(s *subscriber, worker int, h *wire.Hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return
	}
	if s.slotNumber < 0 && s.batch.Start(s.i, worker) {
		s.slotNumber = worker
		if s.batch.Task() != nil { // Cancel of a running task ends its context
			s.unwatch = context.AfterFunc(s.batch.Context(), func() { e.cancelSubscriber(s) })
		}
	}
	if h != nil && s.slotNumber >= 0 && (h.Done != 0 || h.Total != 0) {
		s.batch.Progress(s.i, s.slotNumber, h.Done, h.Total)
	}
}

// forget removes subscribers that have settled.
func (e *Executor) forget(subscribers ...*subscriber) {
	e.mu.Lock()
	e.forgetLocked(subscribers)
	e.mu.Unlock()
}

// forgetLocked does the same as forget for a caller that holds mu.
func (e *Executor) forgetLocked(subscribers []*subscriber) {
	for _, s := range subscribers {
		if t := s.batch.Task(); t != nil {
			delete(e.subscribers, t)
		}
	}
	e.unsettled -= len(subscribers)
	e.checkSettledLocked()
}

// checkSettledLocked closes e.allSettled if the executor is closed and all
// accepted tasks have settled.
func (e *Executor) checkSettledLocked() {
	if !e.closed || e.settled || e.unsettled > 0 || len(e.claiming) > 0 || len(e.group.UserCode()) > 0 {
		return
	}
	for _, q := range e.queues {
		if q.tasks.FirstLocked() != nil {
			return
		}
	}
	e.settled = true
	close(e.allSettled)
}
