package cluster

import (
	"context"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
	"concert/internal/lazy"
)

// contextWatch cancels the subscribers of a batch when the context of their submitter
// ends. All subscribers of the batch share it, until the last one has settled.
type contextWatch struct {
	unsettled atomic.Int64 // subscribers that have not settled, and one for the caller of Executor.watch
	stop      func() bool  // written before the last release, which reads it
}

// watchContext begins a watch for the subscribers that the calls of a batch were made
// for. The calls have not been sent.
func (e *Executor) watchContext(calls []*call) {
	if len(calls) == 0 {
		return
	}
	parent := calls[0].own.batch.Parent()
	if parent.Done() == nil {
		return
	}
	w := &contextWatch{}
	w.unsettled.Store(int64(len(calls)) + 1)
	for _, c := range calls {
		s := &c.own
		s.mu.Lock()
		if s.context = w; s.settled { // in the meantime, by a Shutdown or with the call that it has joined
			w.unsettled.Add(-1)
		}
		s.mu.Unlock()
	}
	w.stop = context.AfterFunc(parent, func() {
		for _, c := range calls {
			e.cancelSubscriber(&c.own)
		}
	})
	w.release()
}

// release is called when a subscriber has settled.
func (w *contextWatch) release() {
	if w.unsettled.Add(-1) == 0 {
		w.stop()
	}
}

// timeoutCancel ends a canceled call without a report of the cluster. It waits longer
// if a worker that is known to run the call is alive.
func (e *Executor) timeoutCancel(c *call) {
	e.mu.Lock()
	if !c.ended && e.members.Alive(c.workerID) {
		c.timer.Reset(jet.WorkerTimeout)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.settleEach(c, func(s *subscriber) {
		s.settle(-1, executor.Encoded{}, lazy.Errorf("%w within %v of its cancellation (%w): it may still be running", ErrLost, e.opts.Grace, s.cause()))
	})
}

// publishCancel has the cluster drop a try, or stop it.
func (e *Executor) publishCancel(try string) {
	subject, body := wire.Cancellation(e.client, e.session, try)
	e.conn.Publish(&nats.Msg{Subject: subject, Data: body}, cancellation{})
}

// cancellation is what is noted of one that was posted.
type cancellation struct{}
