package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/prefetch"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// heldTask is a task that a worker holds.
//
//	taken --> ready --> running --> publishing its result --> acknowledged
//
// Only what is acknowledged is gone from the servers, and only what has a
// result there is acknowledged: a worker that is lost at any step loses nothing
// but time.
type heldTask struct {
	wire.Envelope
	key      string
	position jet.Position // of its message
	try      string       // under which it is said that it is not wanted any more
	received time.Time
	attempt  int // 1 for the first; not counting those that ended as the worker was to end
	releases int // of these; known once it waits for a place
	slot     int // that it runs in

	bytes   int64 // size of its message
	large   int64 // size of its large argument; 0 unless the size was checked
	missing error // why its large argument cannot be fetched, if that is known

	// Guarded by the worker's mu:
	msg     *jet.Message            // the last one by which it came: to be acknowledged; nil while it is given back
	receipt jet.Receipt             // by which it is acknowledged then
	cancel  context.CancelCauseFunc // nil until it runs
	stop    func() bool             // takes it out of the executor's queue; nil until it is in it

	// Tasks of the same id, of other sessions or of a canceled call: they wait
	// until this one is done. Their arguments and the contents of their
	// messages are dropped.
	waiting []*heldTask
	behind  *heldTask // the task that this one waits for; nil if it does not wait

	started time.Time // written before the function, read after it
}

// input returns the index of the task in the Map of its submitter, and its
// label. It returns nil if the task has neither.
func (d *heldTask) input() *concert.Input {
	if d.Input == 0 && d.Label == "" {
		return nil
	}
	return &concert.Input{Name: d.Function, Index: d.Input - 1, Label: d.Label}
}

// String names the task in texts for persons.
func (d *heldTask) String() string {
	if in := d.input(); in != nil {
		return wire.Printable(in.String())
	}
	return wire.Printable(d.Function)
}

// accept takes a task, as it comes.
func (w *worker) accept(msg *jet.Message) {
	e, err := w.verifier.Open(msg.Data(), msg.Subject(), w.conn.HasKey())
	if err == nil && msg.Subject() != wire.TaskSubject(w.setName, e.ID.Client) {
		err = fmt.Errorf("%w: it says that it is by %s, and came by %s", wire.ErrEnvelope, e.ID.Client, msg.Subject())
	}
	if err != nil {
		w.deadLetterMessage(msg, err)
		return
	}
	d := &heldTask{position: msg.Position(), Envelope: e, key: e.ID.Key(), try: wire.TryKey(e.ID.Client, e.Session, e.Try), received: time.Now(), msg: msg, slot: -1, attempt: int(msg.Meta.NumDelivered), bytes: msg.Size()}
	w.mu.Lock()
	if before := w.held[d.key]; before != nil { // its lease was lost meanwhile, and it runs here still
		unwanted := false
		switch {
		case before.position == d.position:
			msg.DropContent() // the held message has the same content
			if before.msg != nil {
				msg.Msg.Data = before.msg.Msg.Data
			}
			before.msg, before.received = msg, d.received
		case before.try == d.try && before.msg != nil: // the client published it twice, because the acknowledgment was lost
			w.mu.Unlock()
			msg.Ack(jet.AckDone)
			return
		case w.isCanceledLocked(d):
			unwanted = true
		default: // it was submitted again, and waits: when it comes again, there is a result
			w.waitBehindLocked(d, before)
		}
		w.mu.Unlock()
		if unwanted {
			w.publishDropped(d)
		}
		return
	}
	if w.done.Has(d.position) { // the acknowledgement was lost
		w.mu.Unlock()
		msg.Ack(jet.AckDone)
		return
	}
	w.holdLocked(d)
	unwanted := w.isCanceledLocked(d)
	w.mu.Unlock()
	if !unwanted && d.attempt > 1 {
		w.conn.Background.Go(func() {
			if w.readReleases(d) {
				w.admit(d, false)
			} else {
				w.giveBack(d)
			}
		})
		return
	}
	w.admit(d, unwanted)
}

// admit has a task that is held wait for a place, or ends it.
func (w *worker) admit(d *heldTask, unwanted bool) {
	switch {
	case unwanted:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.Canceled)})
	case d.Deadline != 0 && time.Now().UnixMilli() > d.Deadline:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.DeadlineExceeded)})
	case w.set.Functions[d.Function] != d.Signature || d.Signature == "":
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(fmt.Errorf("%w: %s", concert.ErrNotRegistered, d.Function))})
	case d.attempt > maxDeliveries+max(0, min(d.Attempts, wire.MaxAttempts)-1):
		why := fmt.Errorf("%w: it began %d times", ErrDead, d.attempt-1)
		w.deadLetterTask(d, why, wire.Outcome{Dropped: true, Err: executor.EncodeError(why)})
	case d.Arg.Blob != "":
		w.conn.Background.Go(func() { w.checkArgument(d) })
	default:
		w.queue(d)
	}
}

// checkArgument checks the large argument of a task, and queues the task. If the
// servers do not have the argument, the task needs no memory for it, and fails
// when it starts.
func (w *worker) checkArgument(d *heldTask) {
	switch err := w.conn.CheckSize(w.ctx, d.ID.Client, d.Arg, wire.IsArgumentName); {
	case errors.Is(err, jet.ErrAbsent):
		d.missing = err
	case err != nil:
		w.release(d)
		return
	default:
		d.large = int64(d.Arg.Size)
	}
	w.queue(d)
}

// startReady runs what is ready, as far as there are places.
func (w *worker) startReady() {
	for {
		w.mu.Lock()
		if len(w.free) == 0 {
			w.mu.Unlock()
			return
		}
		d := w.nextLocked()
		if d == nil {
			w.mu.Unlock()
			return
		}
		d.slot = w.free[len(w.free)-1]
		w.free = w.free[:len(w.free)-1]
		ctx, cancel := context.WithCancelCause(w.ctx)
		if w.isCanceledLocked(d) {
			cancel(concert.ErrCanceled)
		}
		d.cancel = cancel
		quick := w.meanByFunction[d.Function] > 0 && w.meanByFunction[d.Function] < time.Millisecond
		w.mu.Unlock()
		w.run(ctx, d, quick)
	}
}

// startDelay is how long a task of a function that is mostly quick runs before
// its submitter is told that it has started.
const startDelay = 20 * time.Millisecond

// run hands a task to the executor. It tells the submitter when the task
// starts; for a quick function only if the task has not ended soon after.
func (w *worker) run(ctx context.Context, d *heldTask, quick bool) {
	stop := func() {}
	var delayed *time.Timer
	if d.Deadline != 0 {
		ctx, stop = context.WithDeadline(ctx, time.UnixMilli(d.Deadline))
	}
	began := false
	call := executor.Call{Name: d.Function, Input: d.input(), Started: func() {
		began, d.started = true, time.Now()
		if quick {
			delayed = time.AfterFunc(startDelay, func() { w.reportProgress(d, 0, 0) })
		} else {
			w.reportProgress(d, 0, 0)
		}
	}, Progress: func(done, total int64) { w.reportProgress(d, done, total) }}
	submit := func(arg executor.Encoded) {
		call.Arg = arg
		fut := executor.Relay(ctx, w.ex, call)
		w.mu.Lock()
		d.stop = fut.Cancel
		unwanted := w.isCanceledLocked(d)
		w.mu.Unlock()
		if unwanted { // meanwhile
			fut.Cancel()
		}
		fut.OnDone(context.Background(), func(context.Context, *executor.Future[executor.Encoded]) {
			v, err := fut.Result(context.Background())
			if delayed != nil {
				delayed.Stop()
			}
			cause := context.Cause(ctx)
			stop()
			d.cancel(nil)
			w.complete(d, began, v, err, cause)
		})
	}
	if d.Arg.Blob == "" && d.ID.Session != "" {
		submit(executor.Encoded{Kind: d.Arg.Kind, Bytes: d.Arg.Bytes})
		return
	}
	w.conn.Background.Go(func() {
		if d.ID.Session == "" {
			if send, err := w.findKept(ctx, d, 0); err == nil { // it was submitted twice, and has run
				stop()
				d.cancel(nil)
				w.freeSlot(d)
				send()
				return
			}
		}
		arg, err := executor.Encoded{}, d.missing
		if err == nil {
			arg, err = w.conn.Download(ctx, d.ID.Client, d.Arg, wire.IsArgumentName)
		}
		if err != nil {
			stop()
			d.cancel(nil)
			w.freeSlot(d)
			if errors.Is(err, jet.ErrAbsent) { // its submitter has gone, or does not want it any more
				w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(fmt.Errorf("cluster: the argument is not there any more: %w", err))})
				return
			}
			w.release(d)
			return
		}
		submit(arg)
	})
}

// reportProgress tells the submitter that a task runs, and how far it is.
func (w *worker) reportProgress(d *heldTask, done, total int64) {
	w.sendHint(d, wire.Hint{Done: done, Total: total})
}

func (w *worker) sendHint(d *heldTask, h wire.Hint) {
	h.Number, h.Slot, h.WorkerID = d.ID.Number, d.slot, w.id
	subject := wire.HintSubject
	if w.conn.HasKey() {
		subject = wire.HintRelaySubject
	}
	w.conn.NC.Publish(subject(d.ID.Client, d.Session, w.conn.Owner()), h.Encode())
}

// freeSlot frees the place of a task.
func (w *worker) freeSlot(d *heldTask) {
	w.mu.Lock()
	w.free = append(w.free, d.slot)
	w.memory.arguments -= d.large
	next := len(w.ready)+len(w.memory.waiting) > 0
	w.mu.Unlock()
	if next { // elsewhere: this may be a worker of the executor, for which it must not wait
		w.conn.Background.Go(w.startReady)
	}
	w.notify()
}

// complete takes the result of a task.
func (w *worker) complete(d *heldTask, began bool, v executor.Encoded, err, cause error) {
	var took time.Duration
	if began {
		took = max(1, time.Since(d.started))
	}
	large := 0 // size of a result that does not fit into the message
	if err == nil && len(v.Bytes) > wire.MaxInlineBytes {
		large = len(v.Bytes)
	}
	w.mu.Lock()
	w.memory.results += int64(large)
	if began {
		w.recordTimeLocked(d.Function, took)
		w.finished++
		if err != nil {
			w.failed++
		}
	}
	w.mu.Unlock()
	w.freeSlot(d)
	switch {
	case err != nil && cause == errDraining: // it is for another worker
		w.release(d)
		return
	case !began && errors.Is(err, concert.ErrClosed):
		w.stopPulling(fmt.Errorf("cluster: the executor that tasks are run on: %w", err))
		w.releaseUncounted(d)
		return
	}
	o := wire.Outcome{Slot: d.slot, Took: took, Dropped: !began, Stopped: err != nil && cause != nil}
	if err != nil {
		o.Err = executor.EncodeError(err)
		w.retryOrFail(d, began, err, o)
		return
	}
	if large == 0 {
		o.Value = wire.Inline(v)
		w.publishOutcome(d, o)
		return
	}
	w.conn.Background.Go(func() {
		defer w.uploaded(large)
		var err error
		if o.Value, err = w.conn.Upload(w.life, wire.ResultName(d.ID.Client, w.conn.Owner()), v); err != nil {
			if !errors.Is(err, jet.ErrTooLarge) {
				w.release(d)
				return
			}
			o.Value, o.Err = wire.Value{}, executor.EncodeError(fmt.Errorf("result of %s: %w", d.Function, err))
		}
		w.publishOutcome(d, o)
	})
}

// recordTimeLocked takes note of how long a task ran. The caller holds mu.
func (w *worker) recordTimeLocked(function string, d time.Duration) {
	w.meanTime = prefetch.Mean(w.meanTime, d)
	w.meanByFunction[function] = prefetch.Mean(w.meanByFunction[function], d)
}

// waitBehindLocked has a task wait until another one of the same id, which is held, is
// done. The caller holds mu.
func (w *worker) waitBehindLocked(d, before *heldTask) {
	d.msg.DropContent()
	d.Arg = wire.Value{}
	d.behind = before
	before.waiting = slices.DeleteFunc(before.waiting, func(o *heldTask) bool { return o.position == d.position }) // it was delivered again
	before.waiting = append(before.waiting, d)
	if w.tries[d.try] == nil {
		w.tries[d.try] = d
	}
}

// cancelWaitingLocked removes the tasks of a canceled try from those that wait for another
// task, and returns them. The caller holds mu.
func (w *worker) cancelWaitingLocked(try string, before *heldTask) (canceled []*heldTask) {
	delete(w.tries, try)
	before.waiting = slices.DeleteFunc(before.waiting, func(d *heldTask) bool {
		if d.try == try {
			canceled = append(canceled, d)
		}
		return d.try == try
	})
	return canceled
}

// sessionID is where it is said of a task that there is nothing to keep, or that
// it is to be tried again: to its session, apart from what is said of others of
// the same id.
func (d *heldTask) sessionID() wire.TaskID {
	return wire.TaskID{Client: d.ID.Client, Session: d.Session, Number: d.Try}
}
