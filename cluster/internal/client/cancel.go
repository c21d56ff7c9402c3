package client

import (
	"context"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
	"concert/executor"
	"concert/internal/lazy"
)

// contextWatch cancels the subscribers of a batch when the context of their
// submitter ends. All subscribers of the batch share one contextWatch until the
// last subscriber has settled.
type contextWatch struct {
	unsettled atomic.Int64 // number of subscribers that have not settled, plus 1 while watchContext runs
	stop      func() bool  // ends the watch; set before the last call of release, which calls stop
}

// watchContext watches the submitter's context of a batch, before the calls of
// the batch are sent. When the context ends, it cancels the subscribers for
// which the calls were made.
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
		if s.context = w; s.settled { // settled already: by a Shutdown, or with the call that the subscriber has joined
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

// release counts a subscriber that has settled. After the last one, it ends
// the watch.
func (w *contextWatch) release() {
	if w.unsettled.Add(-1) == 0 {
		w.stop()
	}
}

// timeoutCancel settles the subscribers of a canceled call for which no outcome
// has arrived within Options.Grace. While the worker that runs the call is
// alive, timeoutCancel waits longer.
func (e *Executor) timeoutCancel(c *call) {
	e.mu.Lock()
	if !c.ended && e.members.Alive(c.workerID) {
		c.timer.Reset(e.conn.Times.WorkerTimeout)
		e.mu.Unlock()
		return
	}
	e.mu.Unlock()
	e.settleEach(c, func(s *subscriber) {
		s.settle(-1, executor.Encoded{}, lazy.Errorf("%w within %v after the task was canceled (%w): the task may still be running", ErrLost, e.opts.Grace, s.cause()))
	})
}

// publishCancel publishes the cancellation of a try. A worker that has the task
// drops it or cancels its context.
func (e *Executor) publishCancel(try string) {
	subject, body := wire.Cancellation(e.client, e.session, try)
	e.conn.Publish(&nats.Msg{Subject: subject, Data: body}, cancellation{})
}

// cancellation is the note with which a cancellation is published: see the
// methods acked and nacked.
type cancellation struct{}
