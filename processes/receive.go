package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/osproc"
)

// source is the reader of the results of a worker. It reads the pipe. When the
// worker is dead and the pipe is empty, it reads the results that are only in
// the journal.
type source struct {
	pipe *os.File
	dead bool          // the worker is dead, so nothing more is written to the pipe
	rest *bytes.Reader // results from the journal; set when the worker is dead and the pipe is empty
	read *atomic.Int64 // worker.read
}

// Read implements [io.Reader].
func (s *source) Read(b []byte) (n int, err error) {
	switch {
	case s.rest != nil:
		n, err = s.rest.Read(b)
	case s.dead:
		n, err = osproc.ReadAvailable(s.pipe, b)
	default:
		n, err = s.pipe.Read(b)
	}
	s.read.Add(int64(n))
	return n, err
}

// receive reads frames of the worker until the pipe ends. After the worker
// has begun a call, only this goroutine calls Start and Settle of the call's
// batch. After receive has ended, only the goroutine of worker.wait calls
// them. So for each call, Start comes before Settle.
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

// hello handles the frame Hello: it stores which parts of the protocol the
// worker supports.
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
	w.readsTrace = h.Flags&frame.Traces != 0
	w.usesList = w.showsBegunLocked() && h.Flags&frame.Lists != 0
	return nil
}

// protocolError kills a worker that violates the protocol.
func (w *worker) protocolError(err error) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.killLocked(fmt.Errorf("protocol: %w", err))
}

// started handles the frame Started, which reports that a call has begun. Only
// workers that use neither slots nor marks send this frame.
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

// callBegan records that a call has begun, and calls Start of its batch. The
// caller holds mu, which callBegan releases.
func (w *worker) callBegan(f *callFrame, call int) {
	if f.begun >= f.settled && f.canceledEarly != f.begun {
		f.earlier = append(f.earlier, f.begun) // its result has not arrived
	}
	f.begun = call
	if t := w.pool.opts.Timeout; t > 0 {
		f.clockOf(call).expires = time.Now().Add(t)
		w.checkAtLocked(f.clock.expires)
	}
	batch, i, seq, id := f.batch, f.from+call, f.seq, w.number
	again := f.deaths > 0 // Start was already called for an earlier run
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
