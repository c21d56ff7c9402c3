package choose

import (
	"math"
	"time"

	"concert"
)

// limitWindow is a time in which an AdaptiveLimit counts results, in batches.
type limitWindow struct {
	begin time.Time
	cpu   time.Duration // that had been used when it began
	all   int           // tasks that ended

	seen time.Time     // the last event
	busy time.Duration // of all workers together, until then
	idle time.Duration // of all workers at the same time, since the window began

	batch      time.Time // when the batch that goes on began
	batchDone  int       // tasks in it that succeeded
	batchAll   int
	batches    int
	done       int     // successes in batches
	sum, sumSq float64 // of the rates of batches
}

// pass takes note of the time that so many workers were busy.
func (w *limitWindow) pass(now time.Time, running int) {
	if d := now.Sub(w.seen); d > 0 && !w.seen.IsZero() {
		w.busy += d * time.Duration(running)
		if running == 0 { // a pause: it is no part of the window
			w.begin, w.batch, w.idle = w.begin.Add(d), w.batch.Add(d), w.idle+d
		}
		w.seen = now
	}
}

// What it takes to see by how much batches differ.
const (
	fewestBatches = 2
	fewestResults = 32
)

// count takes a result, and reports whether it has completed a batch after
// which there is something to say.
func (w *limitWindow) count(e concert.Event, size int) bool {
	w.all++
	w.batchAll++
	if e.Err == nil {
		w.batchDone++
	}
	took := e.Time.Sub(w.batch)
	if w.batchAll < size || took <= 0 {
		return false
	}
	rate := float64(w.batchDone) / took.Seconds()
	w.batches++
	w.done += w.batchDone
	w.sum += rate
	w.sumSq += rate * rate
	w.batch, w.batchAll, w.batchDone = e.Time, 0, 0
	return w.batches >= fewestBatches && w.all >= fewestResults
}

// measured is a throughput, in tasks a second, and by what share of it that may
// be off, with 95%.
type measured struct{ rate, err float64 }

// measured is that of the batches so far, as if they were independent.
func (w *limitWindow) measured() measured {
	n := float64(w.batches)
	mean := w.sum / n
	if mean == 0 {
		return measured{}
	}
	variance := max(0, w.sumSq/n-mean*mean) * n / (n - 1)
	return measured{float64(w.done) / w.batch.Sub(w.begin).Seconds(), student(w.batches-1) * math.Sqrt(variance/n) / mean}
}

// student is the 97.5% quantile of Student's t distribution, near enough.
func student(freedom int) float64 {
	few := []float64{12.71, 4.30, 3.18, 2.78, 2.57, 2.45}
	if freedom <= len(few) {
		return few[freedom-1]
	}
	return 1.96 + 2.7/float64(freedom)
}

// looks makes up for that one looks after every batch, and may stop when chance
// is kind.
const looks = 1.4

// over reports whether this is more than so many times what was before. It is
// not known if that is so near that chance may decide; but if there has been
// enough it is decided all the same.
func (m measured) over(before measured, bound float64, enough bool) (over, known bool) {
	ratio := m.rate / max(before.rate, 1e-9)
	if m.rate == 0 && before.rate == 0 {
		ratio = 1 // nothing succeeds: less is as good
	}
	err := ratio * math.Hypot(m.err, before.err)
	return ratio > bound, enough || err < precise || math.Abs(ratio-bound) > looks*err
}
