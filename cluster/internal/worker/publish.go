package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// maxOutcomeBytes is how many bytes the message of a result may have: a value
// that travels in it is shorter, an error may not be.
const maxOutcomeBytes = wire.MaxMessageBytes / 2

// publishOutcome publishes the result of a task. When it is stored, see stored, the
// task is acknowledged.
func (w *worker) publishOutcome(d *heldTask, o wire.Outcome) {
	o.ID, o.WorkerID = d.ID, w.id
	if o.Dropped || o.Stopped {
		o.Try = d.Try
	}
	msg := o.Encode()
	if len(msg) > maxOutcomeBytes { // it can only be the error that is
		o.Err = executor.ShortenError(o.Err, maxOutcomeBytes/2)
		msg = o.Encode()
	}
	to := d.ID
	if o.Dropped || o.Dead || o.Stopped {
		to = d.sessionID()
	}
	w.conn.Publish(&nats.Msg{Subject: wire.ResultSubject(to), Data: msg}, d.key)
}

// findKept looks for the result that is kept of a task with an id of its own, and
// returns what sends that to the session that waits. The session may have
// missed it: the server that it asked may have been a moment behind. A server
// that asks for keys sends it at once, so that a worker does not read kept
// results, and send ends the task. An error that wraps ErrAbsent means that
// there is none, also after a time of patience.
func (w *worker) findKept(ctx context.Context, d *heldTask, patience time.Duration) (send func(), err error) {
	to := d.ID
	to.Session = d.Session
	if !w.conn.HasKey() {
		msg, err := w.conn.LastMessage(ctx, wire.KeptStream, wire.ResultSubject(d.ID), patience)
		if err != nil {
			return nil, err
		}
		return func() { w.conn.Publish(&nats.Msg{Subject: wire.ResultSubject(to), Data: msg.Data}, d.key) }, nil
	}
	for begin := time.Now(); ; {
		found, err := w.conn.Resend(ctx, wire.ResendRequest{Client: to.Client, Number: to.Number, Session: to.Session})
		if err != nil {
			return nil, err
		}
		if found {
			return func() { w.acked(d.key) }, nil
		}
		if time.Since(begin) >= patience {
			return nil, fmt.Errorf("%w: %s", jet.ErrAbsent, wire.ResultSubject(d.ID))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// publishDropped drops a canceled task that waits, or would wait, for another task with
// its id. If the report does not arrive, the submitter settles the task without
// it.
func (w *worker) publishDropped(d *heldTask) {
	o := wire.Outcome{ID: d.ID, WorkerID: w.id, Dropped: true, Try: d.Try, Err: executor.EncodeError(context.Canceled)}
	w.conn.JS.PublishMsgAsync(&nats.Msg{Subject: wire.ResultSubject(d.sessionID()), Data: o.Encode()})
	d.msg.Ack(jet.AckDone)
}

// acked is called with the key of a task whose result is stored.
func (w *worker) acked(key string) {
	w.mu.Lock()
	d := w.held[key]
	if d == nil {
		w.mu.Unlock()
		return
	}
	w.done.Add(d.position)
	msg, waiting := w.unholdLocked(d)
	w.mu.Unlock()
	if msg != nil {
		msg.Ack(jet.AckDone)
	} else { // it was canceled in a pause
		d.receipt.Ack(jet.AckDone)
	}
	w.unheld(waiting)
}

// unholdLocked removes a task from held. It returns the task's message, and the tasks
// that waited for it. The caller holds mu, releases it, reports to the servers,
// as a connection may be slow, and then calls said. Until then the worker is
// not idle, so its connection stays open.
func (w *worker) unholdLocked(d *heldTask) (msg *jet.Message, waiting []*heldTask) {
	delete(w.held, d.key)
	delete(w.tries, d.try)
	for _, o := range d.waiting {
		delete(w.tries, o.try)
	}
	w.memory.held -= d.bytes
	w.releasing++
	msg, waiting, d.waiting = d.msg, d.waiting, nil
	return msg, waiting
}

// unheld is called after unhold, when the report about the task was sent. It has
// the tasks that waited for it delivered again.
func (w *worker) unheld(waiting []*heldTask) {
	for _, d := range waiting {
		d.msg.Redeliver(0)
	}
	w.mu.Lock()
	w.releasing--
	w.checkIdleLocked()
	w.mu.Unlock()
	w.notify()
}

const codeMaxPerSubject = 10077 // of the servers: maximum messages per subject exceeded

// nacked is told that a message was not stored, or that nothing was heard of
// it. If another worker's result for the task is there already, that one
// counts.
func (w *worker) nacked(msg *nats.Msg, note any, why error) {
	key := note.(string)
	var api *jetstream.APIError
	if errors.As(why, &api) && api.ErrorCode == codeMaxPerSubject {
		w.duplicateOutcome(msg, key)
		return
	}
	if w.conn.NC.IsClosed() {
		return
	}
	w.conn.Publish(&nats.Msg{Subject: msg.Subject, Data: msg.Data}, key)
}

// duplicateOutcome is told that a result was not taken, as there is one already: that one
// counts. It may be the same one, whose acknowledgement was lost; so parts of
// it stay. If it is a kept one, the session that waits has to get it.
func (w *worker) duplicateOutcome(msg *nats.Msg, key string) {
	w.mu.Lock()
	d := w.held[key]
	w.mu.Unlock()
	if d == nil {
		return
	}
	if d.ID.Session != "" || msg.Subject != wire.ResultSubject(d.ID) {
		w.acked(key)
		return
	}
	w.conn.Background.Go(func() {
		send, err := w.findKept(w.ctx, d, jet.ReplicaLag)
		if err != nil { // it has gone meanwhile, or the servers have
			w.release(d)
			return
		}
		send()
	})
}

// release gives a task back to the servers, for this worker or another one, as it
// could not be done. If that is because the worker is to end, it is no attempt.
func (w *worker) release(d *heldTask) {
	if w.ctx.Err() != nil {
		w.releaseUncounted(d)
	} else {
		w.giveBack(d)
	}
}

func (w *worker) giveBack(d *heldTask) {
	w.mu.Lock()
	msg, waiting := w.unholdLocked(d)
	w.mu.Unlock()
	if msg != nil { // else it is given back already
		msg.Redeliver(200 * time.Millisecond)
	}
	w.unheld(waiting)
}
