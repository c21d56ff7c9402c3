package processes

import (
	"testing"
	"time"

	"concert/processes/internal/osproc"
)

// TestCouldRun: couldRun must return the part of a second in which the
// process could have begun a call, and whether the process was stopped.
func TestCouldRun(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		before, after map[int]osproc.ThreadTime
		could         time.Duration
		stopped       bool
	}{
		"unknown":              {nil, nil, s, false},
		"sleeps":               {threads('S', 5, 5), threads('S', 5, 5), s, false},
		"stopped":              {threads('S', 5, 5), threads('T', 5, 5), s, true},
		"stopped by a tracer":  {threads('t', 5, 5), threads('t', 5, 5), s, true},
		"stopped for a moment": {threads('S', 5, 5), threads('T', 6, 5), s, false},
		"one thread stopped":   {both(threads('S', 5, 5), 2, 'S', 0, 0), both(threads('S', 5, 5), 2, 'T', 0, 0), s, false},
		"runs":                 {threads('R', 5, 5), threads('R', 1005, 5), s, false},
		"has no processor":     {threads('R', 5, 5), threads('R', 5, 5), 0, false},
		"had no processor":     {threads('R', 5, 5), threads('S', 5, 1005), 0, false},
		"had one for a while":  {threads('R', 5, 5), threads('R', 35, 975), 3 * s / 10, false},
		"had one for longer":   {threads('R', 5, 5), threads('R', 205, 805), s, false},
		"waits for a disk":     {threads('S', 5, 5), threads('D', 5, 5), 0, false},
		"one thread waits":     {both(threads('S', 5, 5), 2, 'R', 0, 0), both(threads('S', 5, 5), 2, 'R', 0, 0), 0, false},
		"a new thread":         {threads('S', 5, 5), both(threads('S', 5, 5), 2, 'R', 9, 9), s, false},
	} {
		t.Run(name, func(t *testing.T) {
			if could, stopped := couldRun(c.before, c.after, s); could != c.could || stopped != c.stopped {
				t.Errorf("%s: couldRun() = %v, %v; want %v, %v", name, could, stopped, c.could, c.stopped)
			}
		})
	}
}

// threads returns the state of one thread, with times in milliseconds.
func threads(state byte, ran, waited int) map[int]osproc.ThreadTime {
	return both(nil, 1, state, ran, waited)
}

// both adds another thread to the map threads, and returns the map.
func both(threads map[int]osproc.ThreadTime, id int, state byte, ran, waited int) map[int]osproc.ThreadTime {
	if threads == nil {
		threads = make(map[int]osproc.ThreadTime)
	}
	threads[id] = osproc.ThreadTime{State: state, Ran: time.Duration(ran) * time.Millisecond, Waited: time.Duration(waited) * time.Millisecond}
	return threads
}
