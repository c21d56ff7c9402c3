package adaptive

import (
	"math"
	"runtime"
	"time"

	"concert"
)

const (
	// minBatches is the minimum number of complete batches from which the
	// throughput of a window is computed. If it is 2, TestLimit fails.
	minBatches = 4

	// A window is full when it has maxResults results, and ten results for each
	// worker. If it needed only the ten results, TestLimit would fail.
	maxResults = 600

	// rough is the maximum relative error that the first throughput of a climb
	// may have. Without this maximum, TestLimit fails.
	rough = 0.3

	// In the phase holding, a window ends when the relative error of its
	// throughput is at most fair. It also ends when it has fairResults
	// results, and two results for each worker. TestLimit fails if such a
	// window ends at any error, and also if it always continues until
	// fairResults.
	fair        = 0.06
	fairResults = 400

	// repeated makes the intervals of throughput wider. The throughput is
	// compared after each batch, and the first clear comparison counts.
	// Repeated comparisons are wrong more often than a single one. Without this
	// factor, TestLimit fails.
	repeated = 1.4
)

// window is a period of time in which a Limit counts results, in batches.
type window struct {
	begin   time.Time
	cpu     time.Duration // CPU time used before the window began
	results int           // the number of results, successes and failures

	seen time.Time     // the time of the last event
	busy time.Duration // the sum of the times for which each worker was busy, until seen
	idle time.Duration // the time without any running task

	batch          time.Time // when the current batch began
	batchResults   int       // results of the current batch
	batchSuccesses int

	batches    int     // the number of complete batches
	successes  int     // the number of successes in complete batches
	sum, sumSq float64 // the sum of the rates of complete batches, and the sum of the squares of these rates
}

// throughput is a number of tasks per second. The field err is the relative
// error of the rate: half of the width of its 95% interval, divided by rate.
type throughput struct{ rate, err float64 }

// sample is a summary of the results of a window so far.
type sample struct {
	throughput
	now     time.Time
	full    bool    // the window has its maximum of results: decide now
	cpuBusy bool    // all processors are busy
	few     bool    // clearly fewer tasks run than the limit allows
	running float64 // the mean number of running tasks
}

// advance adds the time since the last event, during which the given number of
// tasks ran.
func (w *window) advance(now time.Time, running int) {
	if d := now.Sub(w.seen); d > 0 && !w.seen.IsZero() {
		w.busy += d * time.Duration(running)
		if running == 0 { // time without running tasks is not part of the window
			w.begin, w.batch, w.idle = w.begin.Add(d), w.batch.Add(d), w.idle+d
		}
		w.seen = now
	}
}

// count adds a result to the window. It reports whether the result completes a
// batch and the window has enough batches for a throughput.
func (w *window) count(e concert.Event, batchSize int) bool {
	w.results++
	w.batchResults++
	if e.Err == nil {
		w.batchSuccesses++
	}
	took := e.Time.Sub(w.batch)
	if w.batchResults < batchSize || took <= 0 {
		return false
	}
	rate := float64(w.batchSuccesses) / took.Seconds()
	w.batches++
	w.successes += w.batchSuccesses
	w.sum += rate
	w.sumSq += rate * rate
	w.batch, w.batchResults, w.batchSuccesses = e.Time, 0, 0
	return w.batches >= minBatches
}

// sample returns a summary of the window until now, under the given limit.
// cpu is the CPU time used until now.
func (w *window) sample(now time.Time, limit int, cpu time.Duration) sample {
	took := now.Sub(w.begin)
	running := float64(w.busy) / float64(max(took, 1))
	return sample{
		throughput: w.throughput(),
		now:        now,
		full:       w.results >= max(maxResults, 10*limit),
		cpuBusy:    float64(cpu-w.cpu) > busyProcessors*float64(took+w.idle)*float64(runtime.GOMAXPROCS(0)),
		few:        running < busyWorkers*float64(limit),
		running:    running,
	}
}

// throughput returns the throughput of the complete batches. The error of the
// throughput assumes that the rates of the batches are independent.
func (w *window) throughput() throughput {
	n := float64(w.batches)
	mean := w.sum / n
	if mean == 0 {
		return throughput{}
	}
	variance := max(0, w.sumSq/n-mean*mean) * n / (n - 1)
	return throughput{float64(w.successes) / w.batch.Sub(w.begin).Seconds(), student(w.batches-1) * math.Sqrt(variance/n) / mean}
}

// student returns an approximation of the 97.5% quantile of Student's t
// distribution. With three or more degrees of freedom, the approximation is
// wrong by less than 1%.
func student(freedom int) float64 { return 1.96 + 2.4/float64(freedom-1) }

// exceeds reports whether the rate of t is more than bound times the rate of
// an earlier window (before). The result known is false if the ratio is too
// close to the bound for a certain answer. If must is set, known is always
// true.
func (t throughput) exceeds(before throughput, bound float64, must bool) (exceeds, known bool) {
	ratio := t.rate / max(before.rate, 1e-9)
	if t.rate == 0 && before.rate == 0 {
		ratio = 1 // no task succeeds at either limit, so a lower limit is as good
	}
	err := ratio * math.Hypot(t.err, before.err)
	return ratio > bound, must || math.Abs(ratio-bound) > repeated*err
}
