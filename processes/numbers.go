package processes

import (
	"bytes"
	"fmt"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

// This file handles results that are numbers, of calls that follow each other
// in a frame. The worker stores them in the list of the journal, and sends many
// in one frame; see shm.Journal.

// areNumbers reports whether one CallNumbers can contain all arguments, which
// are at least two.
func areNumbers(args []executor.Encoded) bool {
	if len(args) > frame.MaxNumbers || !frame.IsNumber(args[0]) {
		return false
	}
	for _, arg := range args[1:] {
		if arg.Kind != args[0].Kind || len(arg.Bytes) != frame.NumberSize {
			return false
		}
	}
	return true
}

// settleNumbers settles the calls of a ResultNumbers. It acquires the lock once
// for all of them.
func (w *worker) settleNumbers(n frame.Numbers) error {
	p, count := w.pool, n.Len()
	p.mu.Lock()
	f, err := w.findLocked(n.ID)
	if err == nil && count > f.n-f.settled {
		err = fmt.Errorf("%w: results of %d calls from call %d in frame %d on, which has %d calls", frame.ErrFrame, count, n.ID.Index, n.ID.Seq, f.n)
	}
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.countSettledLocked(w.uncounted)
	w.uncounted = count
	batch, from, worker := f.batch, f.from+f.settled, w.number
	begun, canceledEarly, again := f.begun-f.settled, f.canceledEarly-f.settled, f.deaths > 0
	steps := min(count, 16) // later steps would change runTime little
	if n.Ran <= 0 {
		steps = 0 // the worker has not measured it
	}
	for range steps {
		w.runTime = smooth(w.runTime, n.Ran/time.Duration(count))
	}
	w.callsSettledLocked(f, count)
	if w.count > 0 {
		w.checkAtLocked(time.Now().Add(w.untilCheckLocked()))
	}
	p.mu.Unlock()

	if frame.NumberSize > p.opts.MaxResult || !batch.SettleNumbers(from, worker, n.Kind, n.Values) {
		for i := range count {
			o := outcome{batch: batch, i: from + i, begun: i == begun || again, canceledEarly: i == canceledEarly, value: n.Value(i)}
			if frame.NumberSize > p.opts.MaxResult {
				o.large = frame.NumberSize
			}
			w.settle(&o, worker)
		}
	}
	if next, more := w.in.Peek(); !more || next != frame.ResultNumbers {
		w.countSettled()
	}
	return nil
}

// settleList settles the calls of a dead worker whose results are only in the
// list of the journal. All frames of the worker have been read.
func (w *worker) settleList() error {
	seq, kind := w.journal.List()
	if !w.usesList || !executor.IsNumber(kind) {
		return nil
	}
	w.pool.mu.Lock()
	f, first, last := w.frames.get(seq), 0, 0
	if f != nil {
		first, last = f.settled, w.journal.Ended(seq, f.n)
	}
	w.pool.mu.Unlock()
	if first >= last {
		return nil
	}
	values := bytes.Clone(w.journal.Numbers(first, last))
	return w.settleNumbers(frame.Numbers{ID: frame.ID{Seq: seq, Index: uint32(first)}, Kind: kind, Values: values})
}
