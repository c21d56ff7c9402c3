package processes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
)

// This file takes back calls that a worker has not begun: for another worker,
// which is idle, or because the calls are canceled.

// stealLocked takes back half of the calls of the worker that has the most
// work, because w has an idle thread. It takes only calls that have not begun.
// It reports whether calls were returned to the pool.
func (p *Pool) stealLocked(w *worker) bool {
	var victim *worker
	load := targetWork / 4 // below this, stealing costs more than it saves
	now := time.Now()
	for other := range p.all { // leaving workers too
		threads := p.opts.Threads
		if other.count <= min(threads, len(other.frames.list)) {
			continue // every call of the worker runs, or is about to run
		}
		ahead := time.Duration(other.count) * other.runTime / time.Duration(threads)
		long := 0
		for f, call := range other.runningLocked {
			if f.begun == call && (other.usesSlots || f.isLongLocked(now)) {
				if long++; long == threads || f.n > call+1 {
					ahead = max(ahead, time.Second) // the running call may take long, and calls wait for it
				}
			}
		}
		if ahead > load {
			victim, load = other, ahead
		}
	}
	if victim == nil {
		return false
	}
	var ranges []callRange
	want := victim.count / 2
	for i := len(victim.frames.list) - 1; want > 0 && i >= 0; i-- {
		f := victim.frames.list[i]
		if !victim.canTakeBackLocked() {
			if keep := max(0, f.n-want); !f.takeBackSent {
				victim.takeBackLocked(f, keep)
				want -= f.n - keep
			}
			continue
		}
		back := victim.takeBackLocked(f, max(0, f.n-want))
		if back.len() == 0 {
			break // then the calls of earlier frames have begun, too
		}
		ranges = append(ranges, back)
		want -= back.len()
	}
	slices.Reverse(ranges)
	p.returnCallsLocked(ranges...)
	return len(ranges) > 0
}

// canTakeBackLocked reports whether the pool can take calls back without
// waiting for an answer of the worker.
func (w *worker) canTakeBackLocked() bool { return w.usesSlots || w.usesGate }

// takeBackLocked takes back the calls of a frame from number keep on, except
// those that the worker has begun. It returns the calls that it has taken. From
// a worker that uses neither slots nor the gate, takeBackLocked can only
// request the calls, by a TakeBack. Then it returns no calls; see givenBack.
//
// The invariant (see begunLocked) holds because both sides change one word, or
// each side writes first and then reads what the other side writes:
//
//	slots     the limit is in the same word as the number that the worker raises
//	gate      the pool writes the gate, and then reads the mark. The worker writes the mark, and
//	          then reads the gate. If the gate was written, the worker waits for the TakeBack
//	neither   the worker decides, and its GivenBack names the calls that it will not begin
func (w *worker) takeBackLocked(f *callFrame, keep int) callRange {
	if w.usesSlots {
		return w.keepLocked(f, max(f.settled, f.begun+1, w.journal.TakeBack(f.seq, keep, f.n)))
	}
	keep = max(keep, f.settled, f.begun+1)
	if w.usesGate {
		if max(keep, w.journal.Marked(f.seq, f.n)) >= f.n {
			return callRange{}
		}
		w.takeBacksSent++
		w.journal.Gate().Store(w.takeBacksSent)
		keep = max(keep, w.journal.Marked(f.seq, f.n)) // must be after the store to the gate; see shm.Journal
		w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: f.seq, Index: uint32(keep)}))
		return w.keepLocked(f, keep)
	}
	if f.takeBackSent || keep >= f.n {
		return callRange{}
	}
	f.takeBackSent = true
	w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: f.seq, Index: uint32(keep)}))
	return callRange{}
}

// keepLocked removes calls from the end of a frame, and returns them. The
// parameter left is the number of calls that the frame keeps.
func (w *worker) keepLocked(f *callFrame, left int) callRange {
	back := f.rest(left)
	w.count -= back.len()
	f.n = left
	w.removeIfDoneLocked(f)
	return back
}

// givenBack handles the frame GivenBack. With this frame, a worker answers a
// TakeBack of the pool, and returns calls. givenBack settles the calls that are
// canceled. Another worker gets the others.
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
