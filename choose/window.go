package choose

import (
	"math"
	"slices"
	"sync"
	"time"

	"concert"
)

// window is the part of a measurement in which results count.
type window struct {
	arrivals []time.Duration // when each result arrived, since the start of the measurement
	lag      int             // the largest number of results in a burst: the concurrency
	each     int             // the number of results for each arrival; 0 means 1
}

// minArrivals is the minimum number of values from which a rate or a deviation
// is computed.
const minArrivals = 5

// rate returns the number of results per second until a time. It returns 0 if
// there are too few results.
//
// Tasks often end in bursts. A burst has as many tasks as the pool runs
// concurrently, or as a server handles concurrently. A count that begins in the
// middle of a burst would be wrong by a part of the burst. So this method
// computes the mean time between an arrival and the arrival that is a whole
// number of bursts later.
func (w *window) rate(until time.Duration) float64 {
	n, _ := slices.BinarySearch(w.arrivals, until+1)
	if n < minArrivals || n < w.lag+w.lag/4 {
		return 0
	}
	lag := max(n/2/w.lag, 1) * w.lag
	var sum time.Duration
	for i := range n - lag {
		sum += w.arrivals[i+lag] - w.arrivals[i]
	}
	return float64(lag*max(1, w.each)) * float64(n-lag) / max(sum, 1).Seconds()
}

// relativeDeviation returns the standard deviation of the durations of tasks,
// as a share of their mean, or 0 if there are few tasks.
func relativeDeviation(spans []Span) float64 {
	var n, sum, sq float64
	for _, s := range spans {
		d := (s.End - s.Start).Seconds()
		n, sum, sq = n+1, sum+d, sq+d*d
	}
	if n < minArrivals || sum == 0 {
		return 0
	}
	mean := sum / n
	return math.Sqrt(max(0, sq/n-mean*mean)) / mean
}

// recorder is an observer that records the tasks of a measurement.
type recorder struct {
	mu      sync.Mutex
	begin   time.Time                // guarded by mu
	running map[uint64]concert.Event // guarded by mu: the start of each running task
	spans   []Span                   // guarded by mu
}

// reset removes the tasks of the previous measurement, and begins a new one.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.begin, r.running, r.spans = time.Now(), map[uint64]concert.Event{}, nil
}

func (r *recorder) observe(e concert.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case concert.TaskStarted:
		r.running[e.Task] = e
	case concert.TaskFinished:
		if start, ok := r.running[e.Task]; ok {
			delete(r.running, e.Task)
			r.spans = append(r.spans, Span{start.Worker, start.Time.Sub(r.begin), e.Time.Sub(r.begin), e.Err != nil})
		}
	}
}

// recorded returns the tasks of the measurement, and the mean duration of the
// successful tasks.
func (r *recorder) recorded() (spans []Span, mean time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, s := range r.spans {
		if !s.Failed {
			mean += s.End - s.Start
			n++
		}
	}
	if n > 0 {
		mean /= time.Duration(n)
	}
	return r.spans, mean
}
