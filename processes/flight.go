package processes

import (
	"fmt"
	"time"

	"concert"
	"concert/internal/frame"
)

// span is some calls of a batch: those from one on, and before the other.
type span struct {
	batch    *concert.Batch
	from, to int
	deaths   int     // of workers under the one call that it then is
	parent   *parent // counted while the span is in the pool's again; else nil
}

func (s span) len() int { return s.to - s.from }

// drop settles a call that no worker will run, as its context has ended.
func (s span) drop(i int, cause error) {
	if s.deaths > 0 {
		s.batch.Settle(i, -1, concert.Encoded{}, cause) // it did start
	} else {
		s.batch.Drop(i, cause)
	}
}

// flight is calls that are with a worker: those that went in one frame. They
// begin and end one after the other, and are numbered from 0 up here.
type flight struct {
	batch  *concert.Batch // nil: all have settled, or were withdrawn
	parent *parent
	clock  *clock // nil until it is needed
	seq    uint32
	from   int  // number in batch of the first
	n      int  // how many there are; fewer when some are withdrawn
	got    int  // of these, settled: the first so many
	begun  int  // the one whose Start has been called before it settled, or -1
	vain   int  // the one of which Start said that nobody wants it, or -1
	asked  bool // for some of them, without slots
	kept   bool // it is one call, of which Withdraw has said that it runs
	bytes  int
	places int // in the arena, which it keeps when its calls have ended, until those before it have
	deaths int // of workers under it, when it is one call that runs again
}

// clock is what a call has that runs for some time, or is cancelled.
type clock struct {
	call    int         // its number in the flight
	told    bool        // the worker has been told to cancel it
	expires time.Time   // when it has run for too long; zero for never
	killAt  time.Time   // when the worker is killed if it goes on; zero for never
	why     error       // and the reason
	stop    func() bool // of the watch over its context
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
	return span{batch: f.batch, from: f.from + number, to: f.from + f.n, deaths: f.deaths}
}

// hasBegun returns how many of the calls have begun, those that settled
// included. The caller holds mu.
func (f *flight) hasBegun(w *worker) int {
	begun := f.begun + 1
	if w.slots {
		begun = max(begun, w.journal.begun(f.seq, f.n))
	}
	return max(begun, f.got)
}

// all yields the flights that have calls, the oldest first. The caller holds mu,
// and may withdraw calls meanwhile.
func (w *worker) all(yield func(*flight) bool) {
	for seq := w.first; seq != w.next; seq++ {
		if f := w.flight(seq); f.batch != nil && !yield(f) {
			return
		}
	}
}

// flight returns the place of a flight. The caller holds mu.
func (w *worker) flight(seq uint32) *flight { return &w.flights[seq%slots] }

// find returns the flight of a call about which the worker says something, or an
// error: it has to be the oldest of its flight that has not settled. The caller
// holds mu.
func (w *worker) find(id frame.ID) (*flight, error) {
	f := w.flight(id.Seq)
	if f.batch == nil || f.seq != id.Seq || int(id.Index) != f.got {
		return nil, fmt.Errorf("%w: it speaks of call %d of %d, which it does not have", frame.ErrFrame, id.Index, id.Seq)
	}
	return f, nil
}
