package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/child"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// source is the reader of the results of a worker. It reads the pipe. When the
// worker is dead and the pipe is empty, it reads the results that are only in
// the journal.
type source struct {
	pipe *os.File
	dead bool          // the worker is dead, so nothing more is written to the pipe
	rest *bytes.Reader // results from the journal; set when the worker is dead and the pipe is empty
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (int, error) {
	switch {
	case s.rest != nil:
		return s.rest.Read(b)
	case s.dead:
		return osproc.ReadAvailable(s.pipe, b)
	}
	return s.pipe.Read(b)
}

// receive reads frames of the worker until the pipe ends. When the worker has
// begun a call, only this goroutine calls Start and Settle of the call's batch.
// After receive has ended, only the goroutine of the method wait calls them. So
// for each call, Start comes before Settle.
func (w *worker) receive() {
	defer close(w.received)
	for {
		err := w.readFrame()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			w.source.dead = !w.check() // the pipe of a dead worker may have no end: another process may have it open
		case err == io.EOF || errors.Is(err, osproc.ErrEmpty) || errors.Is(err, os.ErrClosed):
			w.pipeClosed("results")
			return
		default:
			w.protocolError(err)
			return
		}
	}
}

// readFrame reads a frame and handles it. If it is an outcome, readFrame also
// handles the outcomes that follow in the buffer.
func (w *worker) readFrame() error {
	kind, body, err := w.in.Next()
	if err != nil {
		return err
	}
	if w.silence.suspended {
		w.resume()
	}
	if kind != frame.GivenBack {
		w.silence = silence{} // the worker is not silent
	}
	if n := w.in.Cut(); n > 0 && kind != frame.Result && kind != frame.Failure {
		return fmt.Errorf("%w: type %q of %d bytes", frame.ErrFrame, kind, n)
	}
	switch kind {
	case frame.Result, frame.Failure:
		return w.settleOutcomes(kind, body)
	case frame.ResultList:
		return w.receiveList(body)
	case frame.Started:
		id, err := frame.ParseID(body)
		if err != nil {
			return err
		}
		return w.started(id)
	case frame.GivenBack:
		id, err := frame.ParseID(body)
		if err != nil {
			return err
		}
		return w.givenBack(id)
	case frame.Progress:
		p, err := frame.ParseProgress(body)
		if err != nil {
			return err
		}
		return w.progress(p)
	case frame.Hello:
		h, err := frame.ParseHello(body)
		if err != nil {
			return err
		}
		return w.hello(h)
	case frame.Ready:
		return w.pool.ready(w)
	case frame.Broken:
		why := executor.DecodeError(body)
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		if w.state == leaving {
			return nil // the pool was closed in the meantime
		}
		if w.state != starting {
			return fmt.Errorf("%w: Broken after Ready", frame.ErrFrame)
		}
		w.killCause = why
		return nil // the worker exits
	}
	return fmt.Errorf("%w: type %q", frame.ErrFrame, kind)
}

// hello stores what the worker supports.
func (w *worker) hello(h frame.HelloBody) error {
	if h.Version != frame.Version {
		return fmt.Errorf("the worker has version %d of the protocol, and this pool has version %d", h.Version, frame.Version)
	}
	if w.pool.sandbox == nil { // a confined worker lowers the limit itself
		w.pool.template.settings.RestoreStackLimit(w.cmd.Process)
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.state == leaving {
		return nil // the pool was closed in the meantime
	}
	if w.state != starting {
		return fmt.Errorf("%w: Hello after Ready", frame.ErrFrame)
	}
	w.usesSlots = w.journal != nil && h.Flags&frame.Slots != 0
	w.setsMarks = w.journal != nil && !w.usesSlots && h.Flags&frame.Marks != 0 && w.pool.opts.Threads == 1
	w.usesGate = w.journal != nil && !w.usesSlots && h.Flags&frame.Gate != 0
	w.mapsResults = w.files != nil && h.Flags&frame.Files != 0
	w.usesList = w.showsBegunLocked() && h.Flags&frame.Lists != 0
	return nil
}

// protocolError kills a worker that violates the protocol.
func (w *worker) protocolError(err error) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.killLocked(fmt.Errorf("protocol: %w", err))
}

// outcome is the outcome of a call that the worker has sent.
type outcome struct {
	batch         *executor.Batch
	i             int // the number of the call in batch
	begun         bool
	canceledEarly bool
	late          bool // the call was canceled because of Options.Timeout
	value         executor.Encoded
	err           error
	inArena       bool   // the value is in the arena
	large         int    // the size of the value or the error, if it is too large, and otherwise 0
	failed        bool   // the worker sent an error and not a value
	release       func() // releases the memory of a mapped result; nil for any other outcome
}

// failure returns the error of the call. The parameter timeout is
// Options.Timeout. If the call was canceled because it exceeded the timeout,
// and then returned the error of its context, the error also wraps ErrTimeout.
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

// settle settles a call that lookUp has found. The parameter worker is the
// number of the worker.
func (w *worker) settle(o *outcome, worker int) {
	if o.canceledEarly || !o.begun && !o.batch.Start(o.i, worker) {
		worker = -1 // the call was canceled before it started
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
// the error in to.
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

// lookUp removes the ended calls with these IDs from the table of the worker,
// and adds their batches and numbers to buf. It stops with an error at an ID
// that is not in the table. It returns how many calls it has found, and the
// number of the worker.
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
		buf[i].batch, buf[i].i, buf[i].begun, buf[i].canceledEarly = f.batch, f.from+f.settled, f.begun == f.settled || f.deaths > 0, f.canceledEarly == f.settled
		buf[i].late = f.clock != nil && f.clock.call == f.settled && f.clock.why == ErrTimeout
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

// smooth returns the smoothed run time of calls, given the previous value and
// the run time of the last call. It is never 0. A much slower call replaces the
// previous value, so that the pool soon sends fewer calls to the worker.
func smooth(before, ran time.Duration) time.Duration {
	ran = max(1, ran)
	if before == 0 || ran > 4*before {
		return ran
	}
	return max(1, before+(ran-before)/8)
}

// started handles the frame Started, by which a worker that uses neither slots
// nor marks reports that a call has begun.
func (w *worker) started(id frame.ID) error {
	w.pool.mu.Lock()
	f, err := w.findLocked(id)
	if err == nil && f.begun == f.settled {
		err = fmt.Errorf("%w: call %d in frame %d began twice", frame.ErrFrame, id.Index, id.Seq)
	}
	if err != nil {
		w.pool.mu.Unlock()
		return err
	}
	if f.since = time.Now(); w.count > 1 {
		w.checkAtLocked(f.since.Add(longCall))
	}
	w.callBegan(f, f.settled)
	return nil
}

// givenBack handles the frame GivenBack, by which a worker gives back calls
// that the pool has requested by TakeBack. If the calls are canceled, givenBack
// settles them. Otherwise another worker gets them.
func (w *worker) givenBack(id frame.ID) error {
	p := w.pool
	p.mu.Lock()
	if w.usesGate { // the pool has already taken the calls
		w.takeBacksAnswered = min(w.takeBacksAnswered+1, w.takeBacksSent)
		if w.asleep && w.capacityLocked() > 0 {
			w.wakeLocked()
		}
		p.mu.Unlock()
		return nil
	}
	f := w.frames.get(id.Seq)
	if f == nil || int64(id.Index) >= int64(f.n) {
		p.mu.Unlock()
		return nil // all calls had begun when the TakeBack arrived
	}
	if !f.takeBackSent || int(id.Index) <= max(f.begun, f.settled-1) {
		p.mu.Unlock()
		return fmt.Errorf("%w: the worker returned call %d of frame %d, but the call had begun, or the pool had not requested its return", frame.ErrFrame, id.Index, id.Seq)
	}
	f.takeBackSent = false
	kept := f.reportedRunning
	back := w.keepLocked(f, int(id.Index))
	ctx := back.batch.Context()
	if !kept && ctx.Err() == nil {
		p.returnCallsLocked(back)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	for i := back.from; i < back.to; i++ {
		if kept {
			back.batch.Settle(i, -1, executor.Encoded{}, concert.ErrCanceled)
		} else {
			back.drop(i, context.Cause(ctx))
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.countSettledLocked(back.len())
	return nil
}

// callBegan records that a call has begun, and calls Start of its batch. The
// caller holds mu, which callBegan releases.
func (w *worker) callBegan(f *callFrame, call int) {
	f.begun = call
	if t := w.pool.opts.Timeout; t > 0 {
		f.clockOf(call).expires = time.Now().Add(t)
		w.checkAtLocked(f.clock.expires)
	}
	batch, i, seq, id := f.batch, f.from+call, f.seq, w.number
	again := f.deaths > 0 // Start was called for an earlier run
	w.pool.mu.Unlock()

	canceledEarly := !again && !batch.Start(i, id)
	ctx := batch.Context()
	if canceledEarly || batch.Task() == nil { // submitterDone cancels the calls of a Map
		if !canceledEarly && ctx.Err() == nil {
			return
		}
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		f := w.frames.get(seq)
		if f == nil {
			return
		}
		if canceledEarly {
			f.canceledEarly = call
		}
		if f.settled <= call && ctx.Err() != nil {
			w.cancelLocked(f, context.Cause(ctx)) // the context ended before the call began
		}
		return
	}
	stop := context.AfterFunc(ctx, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		if f := w.frames.get(seq); f != nil {
			w.cancelLocked(f, context.Cause(ctx))
		}
	})
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if f := w.frames.get(seq); f != nil && f.settled <= call {
		f.clockOf(call).stop = stop
	} else {
		stop()
	}
}

// progress forwards the progress of a call.
func (w *worker) progress(b frame.ProgressBody) error {
	w.pool.mu.Lock()
	f, err := w.findLocked(b.ID)
	if err != nil {
		w.pool.mu.Unlock()
		return err
	}
	batch, i, id := f.batch, f.from+f.settled, w.number
	if f.begun >= f.settled {
		w.pool.mu.Unlock()
	} else {
		w.callBegan(f, f.settled)
	}
	batch.Progress(i, id, b.Done, b.Total)
	return nil
}
