package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"concert"
	"concert/internal/frame"
)

// source is the bytes of a worker's results: those of the pipe, and at last
// those that its journal has and the pipe had not.
type source struct {
	pipe *os.File
	rest *bytes.Reader // set when the pipe is at its end, and the worker dead
}

func (s *source) Read(b []byte) (int, error) {
	if s.rest != nil {
		return s.rest.Read(b)
	}
	return s.pipe.Read(b)
}

// receive reads what the worker says, until its pipe ends. Only it, and after
// it wait, tells calls that they have begun or settled, so that the one comes before
// the other.
func (w *worker) receive() {
	defer close(w.received)
	for {
		err := w.step()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			select {
			case <-w.dead:
				return // somebody else keeps the pipe open
			default:
			}
			w.look()
		case err == io.EOF || errors.Is(err, os.ErrClosed):
			return
		default:
			w.distrust(err)
			return
		}
	}
}

// step reads one frame and does what it says.
func (w *worker) step() error {
	kind, body, err := w.in.Next()
	if err != nil {
		return err
	}
	switch kind {
	case frame.Result:
		o, err := frame.ParseResult(body)
		if err != nil {
			return err
		}
		if o.Value.Shared {
			return fmt.Errorf("%w: a result in shared memory that there is not", frame.ErrFrame)
		}
		return w.settle(o, nil)
	case frame.Failure:
		o, err := frame.ParseFailure(body)
		if err != nil {
			return err
		}
		return w.settle(o, concert.DecodeError(o.Error))
	case frame.Started:
		seq, err := frame.ParseStarted(body)
		if err != nil {
			return err
		}
		return w.started(seq)
	case frame.Progress:
		p, err := frame.ParseProgress(body)
		if err != nil {
			return err
		}
		return w.progress(p)
	case frame.Hello:
		version, err := frame.ParseHello(body)
		if err == nil && version != frame.Version {
			err = fmt.Errorf("the worker speaks version %d of the protocol, this pool version %d", version, frame.Version)
		}
		return err
	case frame.Ready:
		return w.pool.ready(w)
	case frame.Broken:
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		w.killed = fmt.Errorf("initializer: %w", concert.DecodeError(body))
		return nil // it exits
	}
	return fmt.Errorf("%w: type %q", frame.ErrFrame, kind)
}

// distrust kills a worker that does not keep to the protocol.
func (w *worker) distrust(err error) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.kill(fmt.Errorf("protocol: %w", err))
}

// settle settles a call with what the worker says.
func (w *worker) settle(o frame.Outcome, failure error) error {
	p := w.pool
	p.mu.Lock()
	f := w.flight(o.Seq)
	if f.call == nil || f.seq != o.Seq || int32(o.Seq-w.next) >= 0 {
		p.mu.Unlock()
		return fmt.Errorf("%w: the outcome of call %d, which it does not have", frame.ErrFrame, o.Seq)
	}
	call, begun := f.call, f.begun
	w.total++
	w.runTime = smooth(w.runTime, o.Ran)
	w.remove(f)
	id := w.id
	if w.count > 0 && w.alarm.IsZero() && w.journal.mem != nil {
		w.wakeAt(time.Now().Add(lookOut)) // it begins with the next one
	}
	p.mu.Unlock()

	if !begun {
		call.Start(id)
	}
	call.Settle(concert.Encoded{Kind: o.Value.Kind, Bytes: o.Value.Bytes}, failure)
	p.mu.Lock()
	p.settled(1)
	p.mu.Unlock()
	return nil
}

// smooth is the run time of calls when one more has taken so long. It is
// never 0, and follows a slow one at once: behind it others should not wait.
func smooth(before, ran time.Duration) time.Duration {
	ran = max(1, ran)
	if before == 0 || ran > 4*before {
		return ran
	}
	return max(1, before+(ran-before)/8)
}

// started takes note of a call that the worker says it has begun.
func (w *worker) started(seq uint32) error {
	p := w.pool
	p.mu.Lock()
	f := w.flight(seq)
	if f.call == nil || f.seq != seq || f.begun || int32(seq-w.next) >= 0 {
		p.mu.Unlock()
		return fmt.Errorf("%w: it begins with call %d, which it does not have", frame.ErrFrame, seq)
	}
	call, id := w.begin(f), w.id
	p.mu.Unlock()
	w.announce(call, id, seq)
	return nil
}

// begin takes note that a call has begun. The caller holds mu, and calls
// announce without it.
func (w *worker) begin(f *flight) *concert.Call {
	f.begun = true
	if t := w.pool.opts.Timeout; t > 0 {
		f.timed().expires = time.Now().Add(t)
		w.wakeAt(f.clock.expires)
	}
	return f.call
}

// announce tells a call that it has begun.
func (w *worker) announce(call *concert.Call, id int, seq uint32) {
	call.Start(id)
	if call.Task() == nil {
		return // of a Map: it is cancelled by its parent
	}
	ctx := call.Context()
	stop := context.AfterFunc(ctx, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		if f := w.flight(seq); f.call == call {
			w.cancel(f, context.Cause(ctx))
		}
	})
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if f := w.flight(seq); f.call == call {
		f.timed().stop = stop
	} else {
		stop()
	}
}

// progress passes on how far a call is.
func (w *worker) progress(b frame.ProgressBody) error {
	p := w.pool
	p.mu.Lock()
	f := w.flight(b.Seq)
	if f.call == nil || f.seq != b.Seq || int32(b.Seq-w.next) >= 0 {
		p.mu.Unlock()
		return fmt.Errorf("%w: progress of call %d, which it does not have", frame.ErrFrame, b.Seq)
	}
	begun, id := f.begun, w.id
	call := f.call
	if !begun {
		w.begin(f)
	}
	p.mu.Unlock()
	if !begun {
		w.announce(call, id, b.Seq)
	}
	call.Progress(b.Done, b.Total)
	return nil
}

// look sees which call the worker has begun, kills it when its time is over, and
// says when to look again.
func (w *worker) look() {
	p := w.pool
	now := time.Now()
	p.mu.Lock()
	w.alarm = time.Time{}
	newest := w.running()
	for seq := w.first; newest != nil && seq != newest.seq+1; seq++ {
		f := w.flight(seq)
		if f.call == nil || f.clock == nil {
			continue
		}
		c := f.clock
		if !c.expires.IsZero() && !now.Before(c.expires) {
			c.expires = time.Time{}
			w.cancel(f, ErrTimeout)
		}
		switch {
		case !c.killAt.IsZero() && !now.Before(c.killAt):
			w.kill(c.why)
		case !c.killAt.IsZero():
			w.wakeAt(c.killAt)
		case !c.expires.IsZero():
			w.wakeAt(c.expires)
		}
	}
	var begun *concert.Call
	var seq uint32
	if newest != nil && !newest.begun {
		begun, seq = w.begin(newest), newest.seq
		if w.count > 1 {
			p.nudge() // what waits behind it may be for somebody who is idle
		}
	}
	if w.journal.mem != nil && w.count > 0 && newest == nil {
		w.wakeAt(now.Add(lookOut))
	}
	if w.alarm.IsZero() {
		w.source.pipe.SetReadDeadline(time.Time{})
	}
	id := w.id
	p.mu.Unlock()
	if begun != nil {
		w.announce(begun, id, seq)
	}
}
