package processes

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// span is calls of a batch: from number from on, and before number to.
type span struct {
	batch     *executor.Batch
	from, to  int
	deaths    int        // how many workers died while they ran this call; then the span is one call
	unbegun   int        // how many workers died when this call was the next to begin; then the span is one call
	submitter *submitter // set while the span is in Pool.returned
}

func (s span) len() int { return s.to - s.from }

// drop settles a call that no worker will run, because its context has ended.
func (s span) drop(i int, cause error) {
	if s.deaths > 0 {
		s.batch.Settle(i, -1, executor.Encoded{}, cause) // it has started before
	} else {
		s.batch.Drop(i, cause)
	}
}

// dropAll drops all calls of the span.
func (s span) dropAll(cause error) {
	for i := s.from; i < s.to; i++ {
		s.drop(i, cause)
	}
}

// flight is the calls of one frame that are with a worker. They run
// sequentially, and are numbered from 0 here.
type flight struct {
	batch           *executor.Batch
	submitter       *submitter
	clock           *clock    // nil until it is needed
	since           time.Time // when the newest call began, at the latest; for a worker without slots
	seq             uint32
	from            int   // the number in batch of the first call
	n               int   // how many calls there are; fewer after some were taken back
	settled         int   // how many of them, the first ones, have settled
	begun           int   // the newest call for which batch.Start was called before it settled, or -1
	canceledEarly   int   // the call for which batch.Start reported that it is canceled, or -1
	asked           bool  // the worker was asked to give calls back
	reportedRunning bool  // it is one call, and Withdraw has reported that it runs
	killCause       error // why the worker is killed because of these calls
	bytes           int
	spans           int // spans in the arena: of this flight, and of later flights that have ended
	deaths          int // how many workers died while they ran it, if it is one call
	unbegun         int // how many workers died before they began it, if it is one call
}

// clock has the times of a call that runs for some time, or is canceled.
type clock struct {
	call       int         // its number in the flight
	cancelSent bool        // a Cancel was sent to the worker
	expires    time.Time   // when Options.Timeout is over; zero for never
	killAt     time.Time   // when the worker is killed if the call still runs; zero for never
	why        error       // the reason of killAt
	stop       func() bool // stops the watch of its context
}

// timed returns the clock of a call. Only the newest call that has begun has
// one, because earlier calls have ended.
func (f *flight) timed(call int) *clock {
	if f.clock == nil || f.clock.call != call {
		f.stopClock()
		f.clock = &clock{call: call}
	}
	return f.clock
}

func (f *flight) stopClock() {
	if f.clock != nil && f.clock.stop != nil {
		f.clock.stop()
	}
	f.clock = nil
}

// rest returns the calls that have not settled, from a number on.
func (f *flight) rest(number int) span {
	return span{batch: f.batch, from: f.from + number, to: f.from + f.n, deaths: f.deaths, unbegun: f.unbegun}
}

// isLongLocked reports whether the running call has run for longCall, so that
// it may take long. It is for workers without slots.
func (f *flight) isLongLocked(now time.Time) bool { return now.Sub(f.since) >= longCall }

// begunLocked returns how many of the calls have begun, including the settled
// ones.
func (f *flight) begunLocked(w *worker) int {
	begun := f.begun + 1
	switch {
	case w.usesSlots:
		begun = max(begun, w.journal.Begun(f.seq, f.n))
	case w.marksSlots:
		begun = max(begun, w.journal.Marked(f.seq, f.n))
	}
	return max(begun, f.settled)
}

// flights are the flights of a worker, the oldest first. They end in any order.
type flights struct {
	list []*flight
	next uint32    // the number of the next flight
	free []*flight // removed flights, to be reused
}

// add adds a flight, and gives it the next number whose slot in the journal is
// free. A slow call can keep its flight, and so a slot, for any time: if a
// later flight used the slot, the pool could no longer take back the calls
// behind the slow one.
func (t *flights) add(f flight) *flight {
	for t.window() >= shm.Slots && t.usesSlotOf(t.next) {
		t.next++
	}
	f.seq = t.next
	t.next++
	var p *flight
	if n := len(t.free); n > 0 {
		p, t.free = t.free[n-1], t.free[:n-1]
	} else {
		p = new(flight)
	}
	*p = f
	t.list = append(t.list, p)
	return p
}

// index returns the index in the list of the flight with a number, or where it
// would be.
func (t *flights) index(seq uint32) int {
	if len(t.list) == 0 || t.list[0].seq == seq {
		return 0
	}
	first := t.list[0].seq // numbers wrap around
	return sort.Search(len(t.list), func(i int) bool { return t.list[i].seq-first >= seq-first })
}

// get returns the flight with a number. It returns nil if all of its calls have
// settled or were taken back.
func (t *flights) get(seq uint32) *flight {
	if i := t.index(seq); i < len(t.list) && t.list[i].seq == seq {
		return t.list[i]
	}
	return nil
}

// remove removes a flight, and returns how many spans in the arena are free
// now. Spans are freed in order. So while older flights exist, the next older
// one keeps the spans of the removed one.
func (t *flights) remove(f *flight) (spans int) {
	i := t.index(f.seq)
	if i > 0 {
		t.list[i-1].spans += f.spans
		t.list = slices.Delete(t.list, i, i+1)
	} else {
		spans = f.spans
		t.list[0] = nil
		t.list = t.list[1:]
	}
	*f = flight{}
	t.free = append(t.free, f)
	return spans
}

// window returns how many numbers there are from the oldest flight to the next
// one.
func (t *flights) window() int {
	if len(t.list) == 0 {
		return 0
	}
	return int(t.next - t.list[0].seq)
}

// usesSlotOf reports whether a flight has the same slot in the journal as a
// number.
func (t *flights) usesSlotOf(seq uint32) bool {
	return slices.ContainsFunc(t.list, func(f *flight) bool { return f.seq%shm.Slots == seq%shm.Slots })
}

// all yields the flights, the oldest first. The flight that was yielded last
// may be removed.
func (t *flights) all(yield func(*flight) bool) {
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

// findLocked returns the flight of a call that the worker names. The error is a
// frame.ErrFrame if the call is not the oldest one of its flight that has not
// settled.
func (w *worker) findLocked(id frame.ID) (*flight, error) {
	f := w.flights.get(id.Seq)
	if f == nil || int(id.Index) != f.settled {
		return nil, fmt.Errorf("%w: unknown call %d in frame %d", frame.ErrFrame, id.Index, id.Seq)
	}
	return f, nil
}
