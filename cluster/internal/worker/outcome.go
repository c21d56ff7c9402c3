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

// maxOutcomeBytes is the maximum size of the message of an outcome. Longer
// errors are shortened. Values in messages are never longer.
const maxOutcomeBytes = wire.MaxMessageBytes / 2

// publishOutcome publishes the outcome of a task. When the outcome is stored,
// acked acknowledges the task.
func (w *worker) publishOutcome(d *heldTask, o wire.Outcome) {
	o.ID, o.WorkerID = d.ID, w.id
	if o.Dropped || o.Stopped {
		o.Try = d.Try
	}
	msg := o.Encode()
	if len(msg) > maxOutcomeBytes { // only an error can be so long
		o.Err = executor.ShortenError(o.Err, maxOutcomeBytes/2)
		msg = o.Encode()
	}
	to := d.ID
	if o.Dropped || o.Dead || o.Stopped {
		to = d.sessionID()
	}
	w.conn.Publish(&nats.Msg{Subject: wire.ResultSubject(to), Data: msg}, d.key)
}

// findKept looks for the kept result of a task with an id, and returns a
// function that sends the result to the session that waits for it. The
// client has looked for the result earlier, but the server that answered the
// client may not have received the result by then. If the servers require
// keys, workers cannot read kept results: the servers send the result at
// once, and the returned function only ends the task. findKept waits for the
// result for at most the duration lag. If no result appears, the error wraps
// ErrAbsent.
func (w *worker) findKept(ctx context.Context, d *heldTask, lag time.Duration) (send func(), err error) {
	to := d.ID
	to.Session = d.Session
	if !w.conn.HasKey() {
		msg, err := w.conn.LastMessage(ctx, wire.KeptStream, wire.ResultSubject(d.ID), lag)
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
		if time.Since(begin) >= lag {
			return nil, fmt.Errorf("%w: %s", jet.ErrAbsent, wire.ResultSubject(d.ID))
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// publishDropped reports that a task was canceled and dropped while it waited
// for another task with the same id. If the report is lost, the client settles
// the task after its Options.Grace.
func (w *worker) publishDropped(d *heldTask) {
	o := wire.Outcome{ID: d.ID, WorkerID: w.id, Dropped: true, Try: d.Try, Err: executor.EncodeError(context.Canceled)}
	w.conn.JS.PublishMsgAsync(&nats.Msg{Subject: wire.ResultSubject(d.sessionID()), Data: o.Encode()})
	d.msg.Ack(jet.AckDone)
}

// acked acknowledges the task with a key. It is called when the outcome of
// the task is stored.
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
	} else { // the task was canceled between two attempts
		d.receipt.Ack(jet.AckDone)
	}
	w.unheld(waiting)
}

// unholdLocked removes a task from held. It returns the message of the task,
// and the tasks that waited for it. The caller releases mu, acknowledges the
// message, which may block, and then calls w.unheld. Until that call, the
// worker does not count as idle, so its connection stays open.
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

// unheld makes the servers deliver the waiting tasks again. It is called
// after unholdLocked, when the message was acknowledged.
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

const codeMaxPerSubject = 10077 // of NATS: maximum messages per subject exceeded

// nacked handles an outcome that was not stored, or was not acknowledged in
// time. It publishes the outcome again, unless the task has an outcome
// already.
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

// duplicateOutcome handles the refusal of an outcome: the servers already
// have an outcome of the task. The first outcome counts. It may be the same
// as the refused one, if its acknowledgment was lost. So the parts of a
// large value are not deleted. If the stored outcome is a kept result,
// duplicateOutcome sends the kept result to the session that waits for it.
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
		if err != nil { // the kept result has expired, or the servers cannot be reached
			w.release(d)
			return
		}
		send()
	})
}

// release returns a task to the servers, because this worker could not complete
// the task. The servers deliver it to any worker. If this worker drains and its
// grace period is over, the delivery of the task does not count as an attempt.
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
	if msg != nil { // nil if the servers have the task already
		msg.Redeliver(200 * time.Millisecond)
	}
	w.unheld(waiting)
}
