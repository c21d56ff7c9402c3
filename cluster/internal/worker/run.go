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
//	accepted --> ready --> running --> publishing its outcome --> acknowledged
//
// A worker acknowledges a task after its outcome is stored, and then the
// servers remove the task. So if a worker is lost at any step, the task is
// delayed, but not lost.
type heldTask struct {
	wire.Envelope
	key      string
	position jet.Position // position of the message in its stream
	try      string       // key of the try of the call, see wire.TryKey
	received time.Time    // when the last message of the task was received
	attempt  int          // number of the attempt, from 1 up: accept sets it, readReleases corrects it, and retry.go compares it with the limit
	releases int          // number of deliveries that do not count, see release.go; read before the task is queued
	slot     int          // -1 before it runs

	bytes   int64 // size of the message
	large   int64 // size of the large argument; 0 before the size was checked
	missing error // why the large argument or a shared value cannot be downloaded, if that is known

	// Guarded by the worker's mu:
	msg     *jet.Message            // the last message of the task, which must be acknowledged; nil in a task of a retryingTask
	receipt jet.Receipt             // acknowledges that message, if msg is nil
	cancel  context.CancelCauseFunc // nil until the task runs
	stop    func() bool             // cancels the task in the executor; nil before it was submitted there
	values  []*sharedValue          // the shared values that the task uses while it runs; see shared.go

	// Tasks with the same id, of other sessions or of a canceled call. They
	// wait until this task has ended. To save memory, they contain neither
	// their arguments nor the contents of their messages.
	waiting  []*heldTask
	waitsFor *heldTask // the task that has this task in its field waiting, or nil

	started time.Time // written before the function is called, and read after it has returned
}

// input returns the index of the task in the Map of its submitter, and its
// label. It returns nil if the task has neither an index nor a label.
func (d *heldTask) input() *concert.Input {
	if d.Input == 0 && d.Label == "" {
		return nil
	}
	return &concert.Input{Name: d.Function, Index: d.Input - 1, Label: d.Label}
}

// String returns the name of the task, for notices.
func (d *heldTask) String() string {
	if in := d.input(); in != nil {
		return wire.Printable(in.String())
	}
	return wire.Printable(d.Function)
}

// accept handles a task that has arrived.
func (w *worker) accept(msg *jet.Message) {
	e, err := w.verifier.Open(msg.Data(), msg.Subject(), w.conn.HasKey())
	if err == nil && msg.Subject() != wire.TaskSubject(w.setName, e.ID.Client) {
		err = fmt.Errorf("%w: the client of the task is %s, but the subject of the message is %s", wire.ErrEnvelope, e.ID.Client, msg.Subject())
	}
	if err != nil {
		w.deadLetterMessage(msg, err)
		return
	}
	d := &heldTask{position: msg.Position(), Envelope: e, key: e.ID.Key(), try: wire.TryKey(e.ID.Client, e.Session, e.Try), received: time.Now(), msg: msg, slot: -1, attempt: int(msg.Meta.NumDelivered), bytes: msg.Size()}
	w.mu.Lock()
	if before := w.held[d.key]; before != nil { // the worker holds a task with this key
		canceled := false
		switch {
		case before.position == d.position: // the same message: its lease has ended
			msg.DropContent() // the held message has the same content
			if before.msg != nil {
				msg.Msg.Data = before.msg.Msg.Data
			}
			before.msg, before.received = msg, d.received
		case before.try == d.try && before.msg != nil: // the client published the task twice, because the acknowledgment was lost
			w.mu.Unlock()
			msg.Ack(jet.AckDone)
			return
		case w.isCanceledLocked(d):
			canceled = true
		default: // another submission with this id: it waits, and its next delivery finds the result
			w.waitForLocked(d, before)
		}
		w.mu.Unlock()
		if canceled {
			w.publishDropped(d)
		}
		return
	}
	if w.done.Has(d.position) { // the acknowledgment was lost
		w.mu.Unlock()
		msg.Ack(jet.AckDone)
		return
	}
	w.holdLocked(d)
	canceled := w.isCanceledLocked(d)
	w.mu.Unlock()
	if !canceled && d.attempt > 1 {
		w.conn.Background.Go(func() {
			if w.readReleases(d) {
				w.admit(d, false)
			} else {
				w.giveBack(d)
			}
		})
		return
	}
	w.admit(d, canceled)
}

// admit queues a held task for a slot, or ends it.
func (w *worker) admit(d *heldTask, canceled bool) {
	switch {
	case canceled:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.Canceled)})
	case d.Deadline != 0 && time.Now().UnixMilli() > d.Deadline:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(context.DeadlineExceeded)})
	case w.set.Functions[d.Function] != d.Signature || d.Signature == "":
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(fmt.Errorf("%w: %s", concert.ErrNotRegistered, d.Function))})
	case d.attempt > maxDeliveries+max(0, min(d.Attempts, wire.MaxAttempts)-1):
		why := fmt.Errorf("%w: the task has started %d times", ErrDead, d.attempt-1)
		w.deadLetterTask(d, why, wire.Outcome{Dropped: true, Err: executor.EncodeError(why)})
	case len(d.Shared) > 0 && w.checkShared(d) != nil:
		w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(w.checkShared(d))})
	case d.Arg.Blob != "":
		w.conn.Background.Go(func() { w.checkArgument(d) })
	default:
		w.queue(d)
	}
}

// checkArgument checks the size of a large argument, and queues the task. If
// the servers do not have the argument, the task needs no memory for it, and
// fails when it starts.
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

// startReady starts queued tasks while there are free slots, and memory for the
// next task.
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

// startDelay is the time for which a task of a quick function runs before
// the worker sends the hint that the task has started.
const startDelay = 20 * time.Millisecond

// run submits a task to the executor. It sends a hint when the task starts. For
// a quick function, it sends the hint only if the task still runs after
// startDelay.
func (w *worker) run(ctx context.Context, d *heldTask, quick bool) {
	stop := func() {}
	var delayed *time.Timer
	if d.Deadline != 0 {
		ctx, stop = context.WithDeadline(ctx, time.UnixMilli(d.Deadline))
	}
	began := false
	call := executor.Call{Name: d.Function, Input: d.input(), Trace: d.Trace, Started: func() {
		began, d.started = true, time.Now()
		if quick {
			delayed = time.AfterFunc(startDelay, func() { w.reportProgress(d, 0, 0) })
		} else {
			w.reportProgress(d, 0, 0)
		}
	}, Progress: func(done, total int64) { w.reportProgress(d, done, total) }}
	submit := func(arg executor.Encoded) {
		call.Arg = arg
		if len(d.values) > 0 {
			call.Shared = d.storedValues()
		}
		fut := executor.Relay(ctx, w.ex, call)
		w.mu.Lock()
		d.stop = fut.Cancel
		canceled := w.isCanceledLocked(d)
		w.mu.Unlock()
		if canceled { // before d.stop was set, so the cancellation did not reach the executor
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
	if d.Arg.Blob == "" && d.ID.Session != "" && d.missing == nil && (len(d.values) == 0 || d.isLoaded()) {
		submit(d.Arg.Encoded)
		return
	}
	w.conn.Background.Go(func() {
		if d.ID.Session == "" {
			if send, err := w.findKept(ctx, d, 0); err == nil { // another task with this id has a result
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
			if errors.Is(err, jet.ErrAbsent) { // the submitter has canceled the task, or its program has ended
				w.publishOutcome(d, wire.Outcome{Dropped: true, Err: executor.EncodeError(fmt.Errorf("cluster: downloading the argument: %w", err))})
				return
			}
			w.release(d)
			return
		}
		if v, err := d.awaitShared(ctx); err != nil {
			stop()
			d.cancel(nil)
			w.freeSlot(d)
			w.failShared(d, v, err)
			return
		}
		submit(arg)
	})
}

// reportProgress sends a hint that a task runs, with its progress.
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

// freeSlot frees the slot of a task.
func (w *worker) freeSlot(d *heldTask) {
	w.mu.Lock()
	w.free = append(w.free, d.slot)
	w.memory.arguments -= d.large
	if len(d.values) > 0 {
		w.unreserveLocked(d)
	}
	next := len(w.ready)+len(w.memory.waiting) > 0
	w.mu.Unlock()
	if next { // on another goroutine, because this goroutine may be a worker of the executor
		w.conn.Background.Go(w.startReady)
	}
	w.notify()
}

// complete handles the result of a task.
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
	if large > 0 {
		w.memory.results += int64(large)
		w.makeRoomLocked()
	}
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
	case err != nil && cause == errDraining: // another worker runs the task
		w.release(d)
		return
	case !began && errors.Is(err, concert.ErrClosed):
		w.stopClosed(d, err)
		return
	}
	o := wire.Outcome{Slot: d.slot, Took: took, Dropped: !began, Stopped: err != nil && cause != nil}
	if err != nil {
		o.Err = executor.EncodeError(err)
		w.retryOrFail(d, began, err, o)
		return
	}
	if large == 0 {
		o.Value = wire.Value{Encoded: v}
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
			o.Value, o.Err = wire.Value{}, executor.EncodeError(fmt.Errorf("the result of %s cannot be stored: %w", d.Function, err))
		}
		w.publishOutcome(d, o)
	})
}

// stopClosed ends the worker, because its executor is closed. The task goes to
// another worker.
func (w *worker) stopClosed(d *heldTask, err error) {
	w.stopPulling(fmt.Errorf("cluster: the executor of the worker accepts no tasks: %w", err))
	w.releaseUncounted(d)
}

// recordTimeLocked records the run time of a task.
func (w *worker) recordTimeLocked(function string, d time.Duration) {
	w.meanTime = prefetch.Mean(w.meanTime, d)
	w.meanByFunction[function] = prefetch.Mean(w.meanByFunction[function], d)
}

// waitForLocked makes a task wait until a held task with the same id has ended.
func (w *worker) waitForLocked(d, before *heldTask) {
	d.msg.DropContent()
	d.Arg, d.Shared = wire.Value{}, nil
	d.waitsFor = before
	before.waiting = slices.DeleteFunc(before.waiting, func(o *heldTask) bool { return o.position == d.position }) // d may be a second delivery
	before.waiting = append(before.waiting, d)
	if w.tries[d.try] == nil {
		w.tries[d.try] = d
	}
}

// cancelWaitingLocked removes the tasks of a canceled try from the list
// before.waiting, and returns these tasks.
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

// sessionID returns the id for an outcome that only the session of the task
// must receive: an outcome of a task that was dropped or stopped, or of a dead
// letter. Such an outcome is not kept, so other sessions that submit the same
// id do not receive it.
func (d *heldTask) sessionID() wire.TaskID {
	return wire.TaskID{Client: d.ID.Client, Session: d.Session, Number: d.Try}
}
