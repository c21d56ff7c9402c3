package trace

import (
	"slices"
	"time"

	"concert"
)

// running is a task that has started.
type running struct {
	at    workerID
	name  string
	input *concert.Input
	start time.Time
}

type workerID struct{ process, worker int }

// tracks are those of one worker.
type tracks struct {
	open  []time.Time // when the tasks started that run
	lanes []lane
	named int // how many of the lanes have a name in the file
}

// lane is one track.
type lane struct {
	last span   // the one that was written last
	kept []span // what may be in the way of tasks that still run
}

type span struct{ start, end time.Time }

// begin takes note of a task that starts.
func (tr *tracks) begin(at time.Time) { tr.open = append(tr.open, at) }

// end returns the track for a task that has ended: the first on which it does
// not overlap another in part.
//
// Tasks come here in the order of their ends, so what is on a track already
// ended before. A task overlaps that in part if it began inside of it. So what
// may be in the way of tasks to come is only what the start of one that is
// still open lies inside of; the rest is forgotten, which is nearly all.
func (tr *tracks) end(s span) int {
	if i := slices.IndexFunc(tr.open, s.start.Equal); i >= 0 {
		tr.open[i] = tr.open[len(tr.open)-1]
		tr.open = tr.open[:len(tr.open)-1]
	}
	n := slices.IndexFunc(tr.lanes, func(l lane) bool {
		return !inside(s.start, l.last) && !slices.ContainsFunc(l.kept, func(other span) bool { return inside(s.start, other) })
	})
	if n < 0 {
		n = len(tr.lanes)
		tr.lanes = append(tr.lanes, lane{})
	}
	l := &tr.lanes[n]
	l.last = s
	if slices.ContainsFunc(tr.open, func(at time.Time) bool { return inside(at, s) }) {
		l.kept = append(l.kept, s)
	}
	if len(l.kept) > 2*len(tr.open) {
		l.kept = slices.DeleteFunc(l.kept, func(s span) bool {
			return !slices.ContainsFunc(tr.open, func(at time.Time) bool { return inside(at, s) })
		})
	}
	return n
}

func inside(at time.Time, s span) bool { return at.After(s.start) && at.Before(s.end) }
