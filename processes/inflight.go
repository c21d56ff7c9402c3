package processes

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

// span is some calls of a batch: those from one on, and before the other.
type span struct {
	batch     *executor.Batch
	from, to  int
	deaths    int        // of workers under the one call that it then is
	unbegun   int        // workers that died when that one call was the next to begin
	submitter *submitter // counted while the span is in the pool's again; else nil
}

func (s span) len() int { return s.to - s.from }

// drop settles a call that no worker will run, as its context has ended.
func (s span) drop(i int, cause error) {
	if s.deaths > 0 {
		s.batch.Settle(i, -1, executor.Encoded{}, cause) // it did start
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

// flight is calls that are with a worker: those that went in one frame. They
// begin and end one after the other, and are numbered from 0 up here.
type flight struct {
	batch           *executor.Batch
	submitter       *submitter
	clock           *clock    // nil until it is needed
	since           time.Time // when the newest call began, at the latest; of a worker without slots
	seq             uint32
	from            int   // number in batch of the first
	n               int   // how many there are; fewer when some are withdrawn
	settled         int   // of these, settled: the first so many
	begun           int   // the one whose Start has been called before it settled, or -1
	canceledEarly   int   // the one of which Start said that nobody wants it, or -1
	asked           bool  // for some of them, without slots
	reportedRunning bool  // it is one call, of which Withdraw has said that it runs
	killCause       error // why the worker is killed for its sake
	bytes           int
	spans           int // in the arena: its own, and those of flights after it that have ended
	deaths          int // of workers under it, when it is one call that runs again
	unbegun         int // workers that died before they began it, when it is one call
}

// clock is what a call has that runs for some time, or is canceled.
type clock struct {
	call       int         // its number in the flight
	cancelSent bool        // the worker has been told to cancel it
	expires    time.Time   // when it has run for too long; zero for never
	killAt     time.Time   // when the worker is killed if it goes on; zero for never
	why        error       // and the reason
	stop       func() bool // of the watch over its context
}

// timed returns the clock of a call. Only the newest that has begun has one:
// those before it have ended, with their outcomes on the way.
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

// rest is the calls that have not settled, from number on.
func (f *flight) rest(number int) span {
	return span{batch: f.batch, from: f.from + number, to: f.from + f.n, deaths: f.deaths, unbegun: f.unbegun}
}

// isLong reports whether the call that runs has been doing so for some time:
// who knows how long it will. It is for workers without slots.
func (f *flight) isLongLocked(now time.Time) bool { return now.Sub(f.since) >= longCall }

// hasBegun returns how many of the calls have begun, those that settled
// included.
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

// flights are those that a worker has, the oldest first. They end in any order.
type flights struct {
	list []*flight
	next uint32    // number of the next one
	free []*flight // to be used again
}

// add enters a flight, which gets the next number.
func (t *flights) add(f flight) *flight {
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

// index returns where in the list the flight of a number is, or would be.
func (t *flights) index(seq uint32) int {
	if len(t.list) == 0 || t.list[0].seq == seq {
		return 0
	}
	first := t.list[0].seq // numbers begin again after the largest
	return sort.Search(len(t.list), func(i int) bool { return t.list[i].seq-first >= seq-first })
}

// get returns the flight of a number; nil if all of its calls have settled, or
// were withdrawn.
func (t *flights) get(seq uint32) *flight {
	if i := t.index(seq); i < len(t.list) && t.list[i].seq == seq {
		return t.list[i]
	}
	return nil
}

// remove takes a flight out, and returns how many places in the arena are free
// now: of those that were taken first, as many as belong to it, unless flights
// before it are still there. Then the one before it keeps them.
func (t *flights) remove(f *flight) (places int) {
	i := t.index(f.seq)
	if i > 0 {
		t.list[i-1].spans += f.spans
		t.list = slices.Delete(t.list, i, i+1)
	} else {
		places = f.spans
		t.list[0] = nil
		t.list = t.list[1:]
	}
	*f = flight{}
	t.free = append(t.free, f)
	return places
}

// window is how many numbers there are from the oldest flight to the next.
func (t *flights) window() int {
	if len(t.list) == 0 {
		return 0
	}
	return int(t.next - t.list[0].seq)
}

// all yields the flights, the oldest first. The one that it has just yielded
// may be removed meanwhile.
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

// find returns the flight of a call about which the worker says something, or
// an error: it has to be the oldest of its flight that has not settled.
func (w *worker) findLocked(id frame.ID) (*flight, error) {
	f := w.flights.get(id.Seq)
	if f == nil || int(id.Index) != f.settled {
		return nil, fmt.Errorf("%w: unknown call %d in frame %d", frame.ErrFrame, id.Index, id.Seq)
	}
	return f, nil
}
