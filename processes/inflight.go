package processes

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// callRange is a part of a batch: the calls with the numbers from, from+1, and
// so on, up to to-1.
type callRange struct {
	batch     *executor.Batch
	from, to  int
	deaths    int          // number of workers that died while they ran this call; if not 0, the range is one call
	unbegun   int          // number of workers that died when this call was their next one; if not 0, the range is one call
	died      *WorkerError // the error of the last run, after which Options.Retry has allowed another run; nil if no run has failed
	submitter *submitter   // set while the range is in Pool.returned
}

func (s callRange) len() int { return s.to - s.from }

// drop settles call i of the batch, because the context of the call has
// ended. No worker will run the call.
func (s callRange) drop(i int, cause error) {
	if s.deaths > 0 {
		s.batch.Settle(i, -1, executor.Encoded{}, cause) // the call ran before, in a worker that died
	} else {
		s.batch.Drop(i, cause)
	}
}

// dropAll drops all calls of the range.
func (s callRange) dropAll(cause error) {
	for i := s.from; i < s.to; i++ {
		s.drop(i, cause)
	}
}

// submitter stands for all calls that were submitted with the same context.
type submitter struct {
	ctx  context.Context
	refs int         // number of frames in workers and of ranges in Pool.returned that have calls of this submitter
	stop func() bool // nil if the context never ends; then the submitter is not in Pool.submitters
}

// watchLocked returns the submitter of a context. When the context ends, the
// pool cancels the calls of the submitter. The caller must increment the
// field refs.
func (p *Pool) watchLocked(ctx context.Context) *submitter {
	if ctx.Done() == nil {
		return &p.endless
	}
	known := &submitter{ctx: ctx}
	if isPointer(ctx) {
		if before := p.submitters[ctx]; before != nil {
			return before
		}
		p.submitters[ctx] = known
	}
	known.stop = context.AfterFunc(ctx, func() { p.submitterDone(known) })
	return known
}

// isPointer reports whether a context is a pointer, like the contexts of
// package context. Only pointers are keys of Pool.submitters: a context that is
// a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatchLocked decrements the field refs. If no call uses the submitter, it
// stops watching the context.
func (p *Pool) unwatchLocked(known *submitter) {
	if known.refs--; known.refs == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.submitters[known.ctx] == known {
			delete(p.submitters, known.ctx)
		}
	}
}

// callFrame is one frame of calls that the pool has sent to a worker. The
// worker runs the calls of a frame sequentially. The calls are numbered from 0.
type callFrame struct {
	batch           *executor.Batch
	submitter       *submitter
	clock           *clock       // of the newest call that has begun; nil until it is needed
	since           time.Time    // the newest call began at this time or earlier; used only for a worker without slots
	seq             uint32       // the number of the frame
	from            int          // the number that call 0 of the frame has in the batch
	n               int          // number of calls; becomes smaller when the pool takes calls back
	settled         int          // number of calls that have settled; they are the first ones
	begun           int          // the newest call for which batch.Start was called before the call settled, or -1
	earlier         []int        // unsettled calls with a lower number than begun, for which batch.Start has returned true
	canceledEarly   int          // the call that was canceled before it started, as batch.Start reported, or -1
	takeBackSent    bool         // the pool has sent a TakeBack for this frame, and has no answer yet
	reportedRunning bool         // Withdraw has reported that the only call of the frame runs
	killCause       error        // why the pool kills the worker, if the reason is a call of this frame
	bytes           int          // size of the arguments
	arenaSpans      int          // number of spans in the arena that belong to this frame or to later frames that have ended
	deaths          int          // as in callRange
	unbegun         int          // as in callRange
	died            *WorkerError // as in callRange
}

// clock has the times of a running call that has a timeout or was canceled.
type clock struct {
	call       int         // its number in the frame
	cancelSent bool        // a Cancel was sent to the worker
	expires    time.Time   // when the call exceeds Options.Timeout; zero for never
	killAt     time.Time   // when the pool kills the worker if the call still runs; zero for never
	why        error       // why the call was canceled
	stop       func() bool // stops the context.AfterFunc of the call's context
}

// clockOf returns the clock of a call. Only the newest call that has begun has
// a clock, because earlier calls have ended.
func (f *callFrame) clockOf(call int) *clock {
	if f.clock == nil || f.clock.call != call {
		f.stopClock()
		f.clock = &clock{call: call}
	}
	return f.clock
}

func (f *callFrame) stopClock() {
	if f.clock != nil && f.clock.stop != nil {
		f.clock.stop()
	}
	f.clock = nil
}

// startedLocked reports whether batch.Start was called for a call that has not
// settled. If the call was canceled before it started, the result can be
// either.
func (f *callFrame) startedLocked(call int) bool {
	return f.deaths > 0 || call == f.begun || slices.Contains(f.earlier, call)
}

// rest returns the calls of the frame from the given number to the last
// call.
func (f *callFrame) rest(number int) callRange {
	return callRange{batch: f.batch, from: f.from + number, to: f.from + f.n, deaths: f.deaths, unbegun: f.unbegun, died: f.died}
}

// isLongLocked reports whether the running call has run for longCall. It is
// used only for workers without slots.
func (f *callFrame) isLongLocked(now time.Time) bool { return now.Sub(f.since) >= longCall }

// begunLocked returns the number of calls of the frame that have begun. It
// includes settled calls. Calls begin in order.
//
// The invariant: each call belongs either to the worker or to the pool. A call
// that may have begun belongs to the worker, and is not sent again unless
// Options.Retry allows it. The pool takes calls only by takeBackLocked, or when
// the worker is dead, and the worker never begins a call that was taken. Before
// a worker calls a function, it reports the call in one of three ways. None of
// these reports is lost when the worker dies:
//
//	slots     a worker in Go raises a number in the journal by compare-and-swap
//	marks     a worker in Python with one thread stores that number, and then reads the gate
//	Started   all others, such as workers without a journal, write a frame
//
// So the result is exact if the worker is dead and the pool has read all its
// frames. A worker that lives may have begun more calls.
func (f *callFrame) begunLocked(w *worker) int {
	begun := f.begun + 1
	switch {
	case w.usesSlots:
		begun = max(begun, w.journal.Begun(f.seq, f.n))
	case w.setsMarks:
		begun = max(begun, w.journal.Marked(f.seq, f.n))
	}
	return max(begun, f.settled)
}

// frameTable contains those frames of a worker that have unsettled calls,
// the oldest frame first. Frames end in any order.
type frameTable struct {
	list []*callFrame
	next uint32       // the number of the next frame
	free []*callFrame // removed frames, to be reused
}

// add adds a frame, and gives it the next number whose slot in the journal is
// free. A frame with a slow call can stay in the table for any time, and uses
// its slot for this time. If a later frame used this slot, the pool could no
// longer take back the calls of the frame that follow the slow call.
func (t *frameTable) add(f callFrame) *callFrame {
	for t.window() >= shm.Slots && t.usesSlotOf(t.next) {
		t.next++
	}
	f.seq = t.next
	t.next++
	var p *callFrame
	if n := len(t.free); n > 0 {
		p, t.free = t.free[n-1], t.free[:n-1]
	} else {
		p = new(callFrame)
	}
	*p = f
	t.list = append(t.list, p)
	return p
}

// index returns the index of the frame with number seq in the list. If the list
// does not have the frame, it returns the index at which the frame would be
// inserted.
func (t *frameTable) index(seq uint32) int {
	if len(t.list) == 0 || t.list[0].seq == seq {
		return 0
	}
	first := t.list[0].seq // compare distances from first, because numbers wrap around
	return sort.Search(len(t.list), func(i int) bool { return t.list[i].seq-first >= seq-first })
}

// get returns the frame with number seq. It returns nil if all calls of the
// frame have settled or were taken back.
func (t *frameTable) get(seq uint32) *callFrame {
	if i := t.index(seq); i < len(t.list) && t.list[i].seq == seq {
		return t.list[i]
	}
	return nil
}

// remove removes a frame, and returns the number of spans in the arena that
// this frees. Spans are freed in order. So if the table has an older frame,
// remove returns 0, and the frame before the removed one takes over its
// spans.
func (t *frameTable) remove(f *callFrame) (arenaSpans int) {
	i := t.index(f.seq)
	if i > 0 {
		t.list[i-1].arenaSpans += f.arenaSpans
		t.list = slices.Delete(t.list, i, i+1)
	} else {
		arenaSpans = f.arenaSpans
		t.list[0] = nil
		t.list = t.list[1:]
	}
	*f = callFrame{}
	t.free = append(t.free, f)
	return arenaSpans
}

// window returns the distance from the number of the oldest frame in the
// table to the number that the next new frame will get.
func (t *frameTable) window() int {
	if len(t.list) == 0 {
		return 0
	}
	return int(t.next - t.list[0].seq)
}

// usesSlotOf reports whether a frame of the table uses the journal slot that a
// new frame with number seq would use.
func (t *frameTable) usesSlotOf(seq uint32) bool {
	return slices.ContainsFunc(t.list, func(f *callFrame) bool { return f.seq%shm.Slots == seq%shm.Slots })
}

// all yields the frames, the oldest first. The body of the loop may remove the
// frame that it was given.
func (t *frameTable) all(yield func(*callFrame) bool) {
	for i := 0; i < len(t.list); {
		f := t.list[i]
		if !yield(f) {
			return
		}
		if i < len(t.list) && t.list[i] == f {
			i++
		}
	}
}

// findLocked returns the frame of a call, given the ID that the worker sent.
// If the call is not the first unsettled call of its frame, findLocked
// returns a frame.ErrFrame.
func (w *worker) findLocked(id frame.ID) (*callFrame, error) {
	f := w.frames.get(id.Seq)
	if f == nil || int(id.Index) != f.settled {
		return nil, fmt.Errorf("%w: unknown call %d in frame %d", frame.ErrFrame, id.Index, id.Seq)
	}
	return f, nil
}
