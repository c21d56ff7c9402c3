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

// tracks has the tracks of one worker.
type tracks struct {
	open  []time.Time // start times of the running tasks
	lanes []lane
	named int // number of tracks whose names are in the file
}

// lane is one track of a worker, in which tasks do not overlap in part.
type lane struct {
	last span   // the last task that was written to this track
	kept []span // earlier tasks of this track that a running task may overlap in part
}

type span struct{ start, end time.Time }

// begin records the start time of a task.
func (tr *tracks) begin(at time.Time) { tr.open = append(tr.open, at) }

// end returns the track for a task that has ended: the first track on which the
// task does not overlap another task in part.
//
// Tasks end in the order of the calls of end. So all tasks on a track ended
// before the new task. The new task overlaps an earlier task in part if the
// new task started while the earlier task ran. So a track must keep an earlier
// task only while a task runs that started during the earlier task. Few tasks
// have to be kept.
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
