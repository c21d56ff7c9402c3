package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// minList decides how results are sent: together if their frame has at least
// minList calls, and otherwise one by one.
const minList = 4

// loop reads calls and runs them until the pipe of tasks ends. If a function
// calls runtime.Goexit, the goroutine of this loop ends. Then loop starts
// another goroutine, which continues with the next call of the frame.
func (w *worker) loop(first bool) {
	code := -1
	defer func() {
		if code >= 0 {
			w.ended <- code
			return
		}
		w.finish(executor.Encoded{}, concert.ErrGoexit)
		go w.loop(false)
	}()
	if first {
		if w.setup.Prepare {
			code = w.prepare()
		}
		if code < 0 && w.setup.Sandbox != nil {
			if err := w.setup.Sandbox.Apply(); err != nil {
				code = w.broken(fmt.Errorf("the worker cannot be confined: %w", err))
			}
		}
		if code >= 0 {
			return
		}
		w.out.put(frame.AppendReady(nil))
		w.out.flush()
	} else if err := w.runFrom(int(w.id.Index) + 1); err != nil {
		code = badFrame(err)
		return
	}
	for {
		waits := !w.in.Buffered()
		if waits {
			w.out.flush()
			w.now = 0
			w.rest, w.list = nil, executor.List{} // the arguments may be large
			w.idle.begin()
		}
		kind, body, err := w.in.Next()
		if waits {
			w.idle.end()
		}
		switch {
		case err == io.EOF:
			w.out.flush()
			code = exitEnd
			return
		case err == nil && (kind == frame.Call || kind == frame.CallList):
			err = w.runFrame(kind, body)
		case err == nil && kind == frame.Trace:
			w.trace, err = frame.ParseTrace(body)
		case err == nil:
			err = w.shared.frame(kind, body)
		}
		if err != nil {
			code = badFrame(err)
			return
		}
	}
}

// badFrame reports a protocol error on standard error. It returns the exit
// code.
func badFrame(err error) int {
	fmt.Fprintln(os.Stderr, "processes: bad frame from pool:", err)
	return exitProtocol
}

// runFrame runs the calls of a frame, except those that the pool takes back.
func (w *worker) runFrame(kind frame.Type, body []byte) error {
	h, rest, err := frame.ParseCall(body, w.name)
	if err != nil {
		return err
	}
	if w.isList = kind == frame.CallList; w.isList {
		if w.list, err = frame.ParseCallList(rest, int(h.Count)); err != nil {
			return err
		}
	}
	if h.Name != w.name || w.function == nil {
		w.name = h.Name
		w.function, w.missing = executor.Find(h.Name)
	}
	w.head, w.rest, w.parent, w.stop = h, rest, context.Background(), nil
	if w.trace != "" {
		w.parent = executor.ExtractTrace(w.parent, w.trace)
		w.trace = ""
	}
	if h.Left != 0 {
		w.parent, w.stop = context.WithTimeout(w.parent, h.Left)
	}
	if w.journal == nil {
		w.forget()
	}
	return w.runFrom(0)
}

// runFrom runs the calls of the current frame, from number first on.
func (w *worker) runFrom(first int) error {
	for i := first; i < int(w.head.Count); i++ {
		arg, err := w.nextArg()
		if err != nil {
			return err
		}
		if arg.Shared {
			if w.arena == nil {
				return fmt.Errorf("%w: an argument in shared memory, which this worker does not have", frame.ErrFrame)
			}
			if arg.Bytes, err = w.arena.Argument(arg.Span); err != nil {
				return err
			}
		}
		if !w.begin(frame.ID{Seq: w.head.Seq, Index: uint32(i)}) {
			break
		}
		if w.ctx != nil {
			w.call(arg)
		}
	}
	if w.head.Count >= minList {
		w.out.collect()
	}
	if w.stop != nil {
		w.stop()
	}
	return nil
}

// nextArg returns the next argument of the current frame.
func (w *worker) nextArg() (p frame.Payload, err error) {
	if w.isList {
		p.Encoded = w.list.Next()
		return p, nil
	}
	p, w.rest, err = frame.NextArg(w.rest)
	return p, err
}

// prepare runs the initializer. It returns the exit code if this process must
// exit, and otherwise -1.
func (w *worker) prepare() int {
	kind, body, err := w.in.Next()
	if err == io.EOF {
		return exitEnd
	}
	h, rest, parseErr := frame.ParseCall(body, "")
	arg, _, argErr := frame.NextArg(rest)
	if err == nil && kind != frame.Call {
		err = fmt.Errorf("%w: type %q instead of the initializer", frame.ErrFrame, kind)
	}
	if err := errors.Join(err, parseErr, argErr); err != nil {
		return badFrame(err)
	}
	done := make(chan error, 1)
	go func() { // on another goroutine, because the initializer may call runtime.Goexit
		err := concert.ErrGoexit
		defer func() { done <- err }()
		_, err = executor.Invoke(context.Background(), h.Name, arg.Encoded)
	}()
	if err := <-done; err != nil {
		return w.broken(fmt.Errorf("initializer: %w", err))
	}
	return -1
}

// broken sends the pool the reason why this process cannot run tasks. It
// returns the exit code.
func (w *worker) broken(err error) int {
	w.out.put(frame.AppendBroken(nil, w.encodeError(err)))
	w.out.flush()
	return exitBroken
}

// call calls the function of a call that has begun, and sends the outcome.
func (w *worker) call(arg frame.Payload) {
	ctx := context.Context(w.ctx)
	if w.reports.Load() {
		id := w.id
		ctx = executor.WithProgress(ctx, func(done, total int64) { w.progress(id, done, total) })
	}
	var result executor.Encoded
	err := w.missing
	if err == nil {
		result, err = w.function.InvokeInto(ctx, arg.Encoded, w.result[:0])
	}
	w.finish(result, err)
}

// progress reports the progress of a call to the pool. A goroutine that the
// function has started may report progress after the call has ended. In this
// case, the method progress does nothing.
func (w *worker) progress(id frame.ID, done, total int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx != nil && w.id == id {
		w.out.put(frame.AppendProgress(nil, frame.ProgressBody{ID: id, Done: done, Total: total}))
		w.out.flush()
	}
}

// begin begins a call. It reports false if the pool has taken back this call
// and the calls after it in the frame. If the call is canceled, begin sends the
// outcome of the call, and leaves w.ctx nil.
func (w *worker) begin(id frame.ID) bool {
	if w.journal != nil && !w.journal.Begin(id.Seq, int(id.Index)) {
		return false
	}
	if w.now == 0 {
		w.now = uptime()
	}
	now := w.now
	ctx := w.spare
	w.spare = nil
	if ctx == nil || ctx.limit.Context != w.parent {
		ctx = newCallContext(w.parent)
	}
	w.mu.Lock()
	if from, some := w.givenBack[id.Seq]; some && id.Index >= from {
		w.mu.Unlock()
		return false
	}
	why, canceled := w.canceled[id]
	delete(w.canceled, id)
	w.id, w.ctx, w.begun = id, ctx, now
	w.mu.Unlock()
	if canceled {
		w.finish(executor.Encoded{}, causeOf(why))
		return true
	}
	if w.journal == nil {
		w.out.put(frame.AppendID(w.scratch[:0], frame.Started, id))
		w.out.flush()
	}
	return true
}

// finish sends the outcome of the current call.
func (w *worker) finish(result executor.Encoded, err error) {
	listed := err == nil && w.head.Count >= minList && w.out.journal != nil && frame.CanList(result)
	if !listed || w.unclocked >= w.group {
		w.readClock()
	} else {
		w.unclocked++
	}
	now := w.now
	w.mu.Lock()
	ctx := w.ctx
	o := frame.Outcome{ID: w.id, Ran: now - w.begun, Value: frame.Payload{Encoded: result}}
	w.ctx = nil
	w.mu.Unlock()
	switch {
	case ctx.lazy.Opened():
		ctx.end()
	case !ctx.limit.passed.Load():
		w.spare = ctx
	}
	if n := int64(len(result.Bytes)); err == nil && n > w.setup.MaxResult {
		err = fmt.Errorf("%w: the result of %s has %d bytes, more than the %d that Options.MaxResult allows", ErrTooLarge, w.name, n, w.setup.MaxResult)
	}
	switch {
	case err != nil:
		o.Error = w.encodeError(err)
		w.out.outcome(now, frame.AppendFailure(w.scratch[:0], o))
	case listed && w.addToList(now, &o):
	case w.giveAway(result, &o.Value):
		w.out.outcome(now, frame.AppendResult(w.scratch[:0], o))
		w.out.flush() // the pool takes the file from the socket only after it has read the frame, and the socket has space for few files
	case w.place(result.Bytes, &o.Value):
		w.out.outcome(now, frame.AppendResult(w.scratch[:0], o))
	case len(result.Bytes) > shm.MaxInline:
		w.out.outcome(now, frame.ResultHead(w.scratch[:0], o, len(result.Bytes)), result.Bytes)
	default:
		w.out.outcome(now, frame.AppendResult(w.scratch[:0], o))
	}
}

// addToList sends the outcome of a call by the list of the journal. It reports
// false if the list cannot contain the result.
func (w *worker) addToList(now time.Duration, o *frame.Outcome) bool {
	stored, late := w.out.addToList(now, o)
	if late {
		w.unclocked, w.group = 1, 0 // the next call reads the clock
	}
	return stored
}

// maxGroup is the maximum number of calls between two readings of the clock.
// To read the clock takes longer than a call that does almost nothing. All
// calls between two readings should together take 10 to 40 us.
const maxGroup = 64

// readClock stores the uptime in w.now, and adapts the number of calls until
// the next reading.
func (w *worker) readClock() {
	now := uptime()
	switch took := now - w.now; {
	case w.now == 0 || took > 40*time.Microsecond:
		w.group /= 2
	case took < 10*time.Microsecond:
		w.group = min(maxGroup, 2*w.group+1)
	}
	w.now, w.unclocked = now, 0
}

// encodeError encodes an error. It shortens the error to the size that the
// pool accepts.
func (w *worker) encodeError(err error) []byte {
	return executor.ShortenError(executor.EncodeError(err), ErrorLimit(w.setup.MaxResult))
}

// place copies a large result into the arena, and sets p to its span. It
// reports false if the result is not large, or if the arena has no space for
// it.
func (w *worker) place(result []byte, p *frame.Payload) bool {
	if w.arena == nil || len(result) <= shm.MaxInline {
		return false
	}
	notCopied := w.placed - w.journal.Copied().Load()
	w.results.Free(w.results.Len() - int(notCopied))
	at, ok := w.results.Allocate(len(result))
	if !ok {
		return false
	}
	if w.arena.WriteResult(at, result) != nil {
		w.results.Undo()
		return false
	}
	w.placed++
	p.Shared, p.Span, p.Bytes = true, at, nil
	return true
}
