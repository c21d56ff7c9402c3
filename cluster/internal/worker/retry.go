package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"concert/cluster/internal/wire"
)

// retryOrFail handles the outcome of a task whose function has returned an
// error, or was not called. If the submitter has used WithRetry, the task runs
// again later, or becomes a dead letter after the last attempt. The number of
// the attempt is set in run.go, from the number of deliveries, and corrected in
// release.go.
func (w *worker) retryOrFail(d *heldTask, began bool, err error, o wire.Outcome) {
	if !began || d.Attempts <= 1 || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		w.publishOutcome(d, o)
		return
	}
	pause, again := d.retryAfter(err)
	if again && (d.Deadline == 0 || time.Now().Add(pause).UnixMilli() < d.Deadline) {
		w.retryLater(d, pause)
		return
	}
	w.deadLetterTask(d, fmt.Errorf("failed %d times: %w", d.attempt, err), o)
}

// retryingTask is a task whose attempt has failed. The servers store it
// until the next attempt. Its heldTask has neither the argument nor the
// message, because there may be many such tasks. It has only what this
// worker needs to report a cancellation of the task.
type retryingTask struct {
	task  *heldTask
	timer *time.Timer
}

// retryLater makes the servers deliver a task again after a delay. If the task
// is canceled in this time, this worker reports the cancellation.
func (w *worker) retryLater(d *heldTask, delay time.Duration) {
	w.mu.Lock()
	msg, waiting := w.unholdLocked(d)
	if w.isCanceledLocked(d) {
		delay = 0 // the worker that receives the task drops it
	} else {
		p := &retryingTask{task: &heldTask{Envelope: wire.Envelope{ID: d.ID, Session: d.Session, Try: d.Try}, key: d.key, position: d.position, try: d.try, receipt: msg.Receipt}}
		p.timer = time.AfterFunc(delay, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.retrying[p.task.try] == p {
				delete(w.retrying, p.task.try)
			}
		})
		w.retrying[d.try] = p
	}
	w.mu.Unlock()
	msg.Redeliver(delay)
	w.sendHint(d, wire.Hint{Retrying: true})
	w.unheld(waiting)
}

// retryAfter returns the pause after an attempt that has failed with err, and
// whether there is another attempt. It checks the options in the envelope,
// because a client has written them.
func (d *heldTask) retryAfter(err error) (time.Duration, bool) {
	if d.attempt >= min(d.Attempts, wire.MaxAttempts) {
		return 0, false
	}
	maxDelay := max(0, min(time.Duration(d.MaxDelay)*time.Millisecond, wire.MaxRetryDelay))
	pause := max(0, min(time.Duration(d.Delay)*time.Millisecond, maxDelay))
	for range d.attempt - 1 {
		if pause = min(2*pause, maxDelay); pause == maxDelay {
			break
		}
	}
	pause -= rand.N(pause/2 + 1)
	var asked interface{ RetryAfter() time.Duration }
	if errors.As(err, &asked) && asked.RetryAfter() > 0 {
		pause = asked.RetryAfter()
		return pause, pause <= maxDelay
	}
	return pause, true
}
