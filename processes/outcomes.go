package processes

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/child"
	"concert/processes/internal/shm"
)

// outcome is the outcome of a call that the worker has sent.
type outcome struct {
	batch         *executor.Batch
	i             int // the number of the call in batch
	begun         bool
	canceledEarly bool
	late          bool          // the call was canceled because of Options.Timeout
	ran           time.Duration // the run time of the call; negative if the pool has recorded it together with the run times of other calls
	value         executor.Encoded
	err           error
	inArena       bool   // the value is in the arena
	large         int    // the size of the value or the error, if it is too large, and otherwise 0
	failed        bool   // the worker sent an error and not a value
	release       func() // releases the memory of a mapped result; nil for any other outcome
}

// failure returns the error of the call. timeout is Options.Timeout. If the
// call was canceled because it exceeded the timeout, and then returned the
// error of its context, the error also wraps ErrTimeout.
func (o *outcome) failure(timeout time.Duration) error {
	if r, ok := o.err.(*concert.RemoteError); ok && o.late && r.Is(context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", withTimeout(ErrTimeout, timeout), o.err)
	}
	return o.err
}

// settleOutcomes settles the call of an outcome frame, and the calls of the
// outcome frames that follow in the buffer. It acquires the lock once for all
// these calls. If a frame is invalid, it settles the calls of earlier frames
// and returns an error.
func (w *worker) settleOutcomes(kind frame.Type, body []byte) (err error) {
	buf := w.outcomeBuf[:0]
	for ids := w.endedBuf[:0]; ; kind, body, _ = w.in.Next() {
		var ended endedCall
		buf = append(buf, outcome{})
		o := &buf[len(buf)-1]
		id, ran, value, inline := frame.ParseInline(body)
		if inline && kind == frame.Result && w.in.Cut() == 0 && int64(len(value.Bytes)) <= w.pool.opts.MaxResult {
			ended, o.value = endedCall{id, ran}, value
		} else {
			ended, err = w.parseOutcome(kind, body, o)
		}
		if err == nil {
			ids = append(ids, ended)
		}
		next, more := w.in.Peek()
		more = more && (next == frame.Result || next == frame.Failure)
		if err == nil && more && len(buf) < cap(w.outcomeBuf) {
			continue
		}
		known, worker, missing := w.lookUp(ids, buf)
		if missing != nil {
			err = missing
		}
		for i := range buf {
			if i < known {
				w.settle(&buf[i], worker)
			} else if buf[i].release != nil {
				buf[i].release()
			}
		}
		clear(buf)
		if w.uncounted += known; !more || err != nil {
			w.countSettled()
		}
		return err
	}
}

// settle settles a call that lookUp has found. worker is the number of the
// worker.
func (w *worker) settle(o *outcome, worker int) {
	if o.canceledEarly || !o.begun && !o.batch.Start(o.i, worker) {
		worker = -1 // the call was canceled before it started
	}
	if worker >= 0 && o.ran >= 0 {
		o.batch.Ran(worker, 1, o.ran)
	}
	if o.large > 0 {
		o.err = w.pool.tooLarge(o)
	}
	if o.err != nil {
		o.err = o.failure(w.pool.opts.Timeout)
	}
	if o.release != nil {
		o.batch.SettleMapped(o.i, worker, o.value, o.release)
		return
	}
	o.batch.Settle(o.i, worker, o.value, o.err)
	if o.inArena {
		w.copied++
		w.journal.Copied().Store(w.copied)
	}
}

// parseOutcome parses the body of any outcome frame, and stores the result or
// the error in *to.
func (w *worker) parseOutcome(kind frame.Type, body []byte, to *outcome) (endedCall, error) {
	var o frame.Outcome
	var err error
	to.failed, to.large = kind == frame.Failure, w.in.Cut()
	if kind == frame.Result && to.large == 0 {
		if o, err = frame.ParseResult(body); err != nil {
			return endedCall{}, err
		}
		to.inArena = o.Value.Shared
		to.large = w.tooLarge(o.Value)
		if o.Value.File {
			err = w.mapResult(o.Value, to)
		} else if to.large == 0 {
			to.value, err = w.valueOf(o.Value)
		}
		if err == shm.ErrNoMemory {
			to.err, err = fmt.Errorf("%w: %w", ErrMemory, err), nil
		}
		return endedCall{o.ID, o.Ran}, err
	}
	if o, err = frame.ParseFailure(body); err == nil && to.failed && to.large == 0 {
		to.err = executor.DecodeError(o.Error)
	}
	return endedCall{o.ID, o.Ran}, err
}

// tooLarge returns the error of a call whose result or error is too large.
func (p *Pool) tooLarge(o *outcome) error {
	if o.failed {
		return fmt.Errorf("%w: the error of %s has %d bytes, more than the %d that Options.MaxResult allows for errors", ErrTooLarge, o.batch.Name, o.large, child.ErrorLimit(p.opts.MaxResult))
	}
	return fmt.Errorf("%w: the result of %s has %d bytes, more than the %d that Options.MaxResult allows", ErrTooLarge, o.batch.Name, o.large, p.opts.MaxResult)
}

// tooLarge returns the size of a result if it is too large, and otherwise 0. It
// does not read the bytes of the result.
func (w *worker) tooLarge(v frame.Payload) int {
	n := uint64(len(v.Bytes))
	if v.Shared || v.File {
		n = v.Span.Length
	}
	if n <= uint64(w.pool.opts.MaxResult) || v.Shared && (w.arena == nil || n > shm.ArenaSize) {
		return 0 // valueOf reports the invalid span
	}
	return int(min(n, math.MaxInt))
}

// valueOf returns the value of a result, which is in the frame or in the arena.
// The worker can change a value in the arena at any time. So valueOf copies a
// value that must be parsed; Settle copies raw values. valueOf also copies a
// value if the system may have no memory for one of its pages, because only
// valueOf handles the failure of such an access.
func (w *worker) valueOf(p frame.Payload) (executor.Encoded, error) {
	v := p.Encoded
	if !p.Shared {
		return v, nil
	}
	if w.arena == nil {
		return v, fmt.Errorf("%w: a result in shared memory, which this worker does not have", frame.ErrFrame)
	}
	var err error
	if v.Bytes, err = w.arena.Result(p.Span); err != nil {
		return v, err
	}
	w.read.Add(int64(len(v.Bytes)))
	if !v.Raw() || !shm.Populate(v.Bytes) {
		err = shm.CatchFault(func() { v.Bytes = bytes.Clone(v.Bytes) })
	}
	return v, err
}

// endedCall is the ID of a call that has ended, and its run time.
type endedCall struct {
	id  frame.ID
	ran time.Duration
}

// lookUp removes the ended calls with these IDs from the table of the
// worker, and adds their batches and numbers to buf. It stops with an error
// at an ID that is not in the table. It returns the number of calls that it
// has found, and the number of the worker.
func (w *worker) lookUp(ids []endedCall, buf []outcome) (known, id int, err error) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countSettledLocked(w.uncounted)
	w.uncounted = 0
	for i, ended := range ids {
		f, err := w.findLocked(ended.id)
		if err != nil {
			return known, w.number, err
		}
		buf[i].batch, buf[i].i, buf[i].begun, buf[i].canceledEarly = f.batch, f.from+f.settled, f.startedLocked(f.settled), f.canceledEarly == f.settled
		buf[i].late = f.clock != nil && f.clock.call == f.settled && f.clock.why == ErrTimeout
		buf[i].ran = max(0, ended.ran)
		w.runTime = smooth(w.runTime, ended.ran)
		w.touched = w.touched || buf[i].inArena
		w.callsSettledLocked(f, 1)
		known++
	}
	if w.count > 0 {
		w.checkAtLocked(time.Now().Add(w.untilCheckLocked())) // check finds out whether the next call has begun by then
	}
	return known, w.number, nil
}

// countSettled subtracts from Pool.unsettled the number of calls that were
// settled since the last count.
func (w *worker) countSettled() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.pool.countSettledLocked(w.uncounted)
	w.uncounted = 0
}

// smooth returns the smoothed run time of calls, given the previous value
// and the run time of the last call. The result is never 0. A much slower
// call replaces the previous value, so that the pool soon sends fewer calls
// to the worker.
func smooth(before, ran time.Duration) time.Duration {
	ran = max(1, ran)
	if before == 0 || ran > 4*before {
		return ran
	}
	return max(1, before+(ran-before)/8)
}
