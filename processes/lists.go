package processes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// This file handles many small arguments or results in one frame. The worker
// stores the results in the list of the journal, and sends many of them in one
// ResultList; see shm.Journal.

// canList reports whether one CallList can contain all arguments. The caller
// passes at least two arguments.
func canList(args []executor.Encoded) bool {
	if len(args) > frame.MaxList {
		return false
	}
	for i := range args {
		if args[i].Kind != args[0].Kind || !frame.CanList(args[i]) {
			return false
		}
	}
	return true
}

// receiveList parses a ResultList and settles its calls.
func (w *worker) receiveList(body []byte) error {
	r, err := frame.ParseResultList(body)
	if err == nil && !w.usesList {
		err = fmt.Errorf("%w: ResultList of a worker without the flag for lists", frame.ErrFrame)
	}
	if err != nil {
		return err
	}
	return w.settleList(r)
}

// settleList settles the calls of a ResultList. These calls are consecutive.
// It acquires the lock once for all of them.
func (w *worker) settleList(r frame.Results) error {
	p, count := w.pool, r.Len()
	p.mu.Lock()
	f, err := w.findLocked(r.ID)
	if err == nil && count > f.n-f.settled {
		err = fmt.Errorf("%w: results of %d calls from call %d in frame %d on, which has %d calls", frame.ErrFrame, count, r.ID.Index, r.ID.Seq, f.n)
	}
	if err != nil {
		p.mu.Unlock()
		return err
	}
	p.countSettledLocked(w.uncounted)
	w.uncounted = count
	batch, from, worker := f.batch, f.from+f.settled, w.number
	before := *f            // a copy, because callsSettledLocked changes f
	steps := min(count, 16) // later steps would change runTime little
	if r.Ran <= 0 {
		steps = 0 // the worker has not measured the run time
	}
	for range steps {
		w.runTime = smooth(w.runTime, r.Ran/time.Duration(count))
	}
	w.callsSettledLocked(f, count)
	if w.count > 0 {
		w.checkAtLocked(time.Now().Add(w.untilCheckLocked()))
	}
	p.mu.Unlock()

	batch.Ran(worker, count, r.Ran)
	if p.opts.MaxResult < frame.MaxListed || !batch.SettleList(from, worker, r.List) {
		for i := range count {
			call := before.settled + i
			o := outcome{batch: batch, i: from + i, ran: -1, begun: before.startedLocked(call), canceledEarly: call == before.canceledEarly, value: r.Next()}
			o.large = w.tooLarge(frame.Payload{Encoded: o.value})
			w.settle(&o, worker)
		}
	}
	if next, more := w.in.Peek(); !more || next != frame.ResultList {
		w.countSettled()
	}
	return nil
}

// settleUnsent settles the calls of a dead worker whose results are only in the
// list of the journal. All frames of the worker have been read.
func (w *worker) settleUnsent() error {
	if !w.usesList {
		return nil
	}
	seq, base, kind, ok := w.journal.ListOf()
	first, last := 0, 0
	w.pool.mu.Lock()
	if f := w.frames.get(seq); f != nil && ok {
		first, last = f.settled, w.journal.Ended(seq, f.n)
	}
	w.pool.mu.Unlock()
	if first >= last {
		return nil
	}
	results, err := unsentResults(w.journal, kind, base, first, last)
	if err != nil {
		return err
	}
	return w.settleList(frame.Results{ID: frame.ID{Seq: seq, Index: uint32(first)}, List: results})
}

// unsentResults returns a copy of results in the list of a journal: the
// results of the calls from first up to last-1. The parameter base is the
// number of the call whose result is first in the list.
func unsentResults(j *shm.Journal, kind byte, base, first, last int) (executor.List, error) {
	sizes, values := j.List()
	l := executor.List{Kind: kind}
	begin, end := 0, 0
	if size := executor.FixedSize(kind); size > 0 {
		begin, end = size*(first-base), size*(last-base)
	} else if base <= first {
		sizes = bytes.Clone(sizes[2*base : 2*last])
		for i := base; i < last; i++ {
			if i == first {
				begin = end
			}
			size := int(binary.LittleEndian.Uint16(sizes[2*(i-base):]))
			if size > frame.MaxListed {
				return l, fmt.Errorf("%w: a result of %d bytes in the list of the journal, want at most %d", frame.ErrFrame, size, frame.MaxListed)
			}
			end += size
		}
		l.Sizes = sizes[2*(first-base):]
	}
	if base > first || end > len(values) {
		return l, fmt.Errorf("%w: the list of the journal begins with call %d and has %d bytes of results, want the results of calls %d to %d", frame.ErrFrame, base, end, first, last-1)
	}
	l.Bytes = bytes.Clone(values[begin:end])
	return l, nil
}
