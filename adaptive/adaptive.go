// Package adaptive has a concurrency limit that tunes itself: it measures the
// throughput of a pool, and moves to the lowest limit with the highest
// throughput.
//
//	ex := goroutines.New(0, &goroutines.Options{Limit: adaptive.New(nil)})
//
// It is for a pool that runs for long, on work whose best concurrency is
// unknown or changes, such as requests to a server. For a batch of the same
// work, package concert/choose measures once and recommends a fixed number.
//
// # How the limit is found
//
// The limit counts the tasks that succeed during a window of time. Then it
// tries another limit for a window, and keeps the one with the higher
// throughput. It is always in one of three phases:
//
//	climbing   doubles the limit while that increases throughput by 6% or more;
//	           then it holds
//	holding    waits for some windows, and then tries 50% more or 25% fewer, in turn
//	trying     keeps a higher limit if throughput increases by at least 6% of the
//	           increase of the limit (3% for 50% more);
//	           keeps a lower limit if throughput decreases by at most 6% of the
//	           decrease of the limit; otherwise it returns to the old limit
//
// After a success it tries the same direction again with the next window. After
// a failure it holds for twice as many windows as before, at most 8. After
// failures in both directions the steps are half as large, at least 12.5% up
// and 6.25% down. So it settles at the lowest limit that does as much as a
// higher one.
//
// If throughput changes by a quarter at the same limit, the conditions have
// changed. Then it tries again at once: a lower limit if throughput has
// decreased, and a higher one if it has increased.
//
// # Windows
//
// A window consists of batches of results. A batch has one result for each
// worker. The window begins after the results of the tasks that
// started under the old limit. It ends when the variation of the batches shows
// on which side of a bound the throughput is, and after 600 results in any
// case. So a large difference is detected soon, and a small one takes longer.
//
// A limit is not raised while all processors are busy, or while clearly fewer
// tasks run than the limit allows: then something else restricts throughput.
// In this case it tries limits just below the number of running tasks. Pauses,
// in which no task runs, do not count.
//
// Failed tasks do not count, so the limit does not rise if a server refuses
// requests. The limit considers throughput and not latency. If two limits have
// the same throughput, it takes the lower one, whose tasks wait less.
package adaptive

import (
	"fmt"
	"runtime"
	"sync"
	"time"

	"concert"
	"concert/internal/option"
	"concert/internal/units"
)

// Limit adjusts the number of concurrent tasks of one pool. It implements
// goroutines.Limit. Its methods may be called concurrently.
type Limit struct {
	opts Options

	mu sync.Mutex
	// Guarded by mu:
	limit     int // the current limit; differs from best while another limit is tried
	best      int // the best limit that was measured so far
	phase     phase
	bestRate  throughput // the throughput at best; its rate is 0 if it is unknown
	pause     int        // the number of windows to wait before another limit is tried
	nextPause int        // the value of pause after the next limit that is not better
	up        bool       // whether the next limit to try is higher than best
	step      float64    // the difference of the next higher limit to best, as a share of best; half of it for a lower limit
	refused   bool       // whether the limit that was tried last, in the other direction, was not better
	measured  bool       // whether bestRate is known, so that a climb can compare with it
	running   int        // the number of running tasks
	skip      int        // the number of results to ignore, because their tasks started under the old limit
	window    window
	decisions []Decision // the last decisions, oldest first
}

// phase is what a Limit does: climbing leads to holding, holding to trying and
// trying to holding.
type phase uint8

const (
	climbing phase = iota
	holding
	trying
)

// Options configures a Limit. Nil and the zero value stand for the defaults.
type Options struct {
	// Min is the lowest limit. Zero means 1. Values above 1<<24 count as
	// 1<<24.
	Min int

	// Max is the highest limit. Zero means 256, or Min if that is higher.
	// Values above 1<<24 count as 1<<24.
	Max int

	// Start is the first limit. Zero means GOMAXPROCS. A value outside of the
	// range from Min to Max counts as the nearest value of the range.
	Start int

	// CPU returns the CPU time that the tasks have used so far. The limit
	// compares it to the elapsed time, and does not rise while all processors
	// are busy. Nil means the CPU time of this process. If that is unknown, as
	// on Windows, the processors never count as busy.
	CPU func() time.Duration

	// OnDecision, if set, is called with each decision. It is called on the
	// goroutine of a task, with a lock held. So it must return soon, and must
	// not call methods of the Limit.
	OnDecision func(Decision)
}

// Decision is a change of a Limit, or a try that did not lead to a change.
type Decision struct {
	Time time.Time
	From int     // the limit before the decision
	To   int     // the limit after the decision
	Rate float64 // the throughput at From, in successful tasks per second
	Why  string  // for example "gained 48%" or "lost 2%"
}

// String returns the decision as text, such as "8 -> 16: gained 48%, at 812
// tasks per second".
func (d Decision) String() string {
	return fmt.Sprintf("%d -> %d: %s, at %s tasks per second", d.From, d.To, d.Why, units.Number(d.Rate))
}

const (
	defaultMax = 256
	highestMax = 1 << 24

	// The limits of Limit.step. If they are equal, TestLimit fails.
	largestStep  = 0.5
	smallestStep = 0.125

	// worthShare is the change of throughput that a new limit needs, as a share
	// of the relative change of the limit. It sets how much throughput is worth
	// one more task.
	worthShare = 0.06

	// If the throughput at one limit changes by this factor, the conditions
	// have changed. Without it, TestLimit_CapacityChanges and
	// TestLimit_FewTasks fail.
	changed = 1.25

	// busyProcessors is the share of CPU time at which all processors count as
	// busy. Without it, TestLimit_Bounds fails.
	busyProcessors = 0.9

	// busyWorkers is the share of the limit below which few tasks run. Without
	// it, TestLimit_OneTaskAtATime, TestLimit_FewTasks and TestLimit_Lull fail.
	busyWorkers = 0.75

	// The numbers of windows for which the best limit is held, at first and at
	// most. Without a pause, TestLimit and TestLimit_Overload fail. With
	// minPause only, throughput in TestLimit is 0.5% lower.
	minPause = 2
	maxPause = 8

	// smoothing is the weight of a new window in bestRate. Without smoothing,
	// throughput in TestLimit is 0.1% lower.
	smoothing = 0.3

	keptDecisions = 100
)

// New returns a Limit. A nil opts stands for the defaults. New panics if a
// number in opts is negative, or if Min is above Max.
func New(opts *Options) *Limit {
	l := &Limit{nextPause: minPause, up: true, step: largestStep}
	if opts != nil {
		l.opts = *opts
	}
	o := &l.opts
	option.NotNegative("adaptive: New", "Options.Min", o.Min)
	option.NotNegative("adaptive: New", "Options.Max", o.Max)
	option.NotNegative("adaptive: New", "Options.Start", o.Start)
	o.Min, o.Max = max(min(o.Min, highestMax), 1), min(o.Max, highestMax)
	if o.Max == 0 {
		o.Max = max(defaultMax, o.Min)
	}
	if o.Min > o.Max {
		panic(fmt.Sprintf("adaptive: New: Options.Min is %d and Options.Max is %d; Min must not be above Max", o.Min, o.Max))
	}
	if o.Start == 0 {
		o.Start = runtime.GOMAXPROCS(0)
	}
	if o.CPU == nil {
		o.CPU = processCPU
	}
	l.limit = min(max(o.Start, o.Min), o.Max)
	l.best = l.limit
	return l
}

// Limit implements goroutines.Limit: it records the event, and returns the
// limit from now on.
func (l *Limit) Limit(e concert.Event) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window.advance(e.Time, l.running)
	switch e.Kind {
	case concert.TaskStarted:
		l.running++
		if l.window.begin.IsZero() && l.skip == 0 {
			l.openWindowLocked(e.Time)
		}
	case concert.TaskFinished:
		if e.Worker >= 0 { // a task that was canceled before it ran has no worker
			l.running--
			l.finishedLocked(e)
		}
	}
	return l.limit
}

// Current returns the current limit.
func (l *Limit) Current() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// Decisions returns the last 100 decisions, the oldest first.
func (l *Limit) Decisions() []Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Decision(nil), l.decisions...)
}

// finishedLocked counts a result, and makes a decision if the window has enough
// results.
func (l *Limit) finishedLocked(e concert.Event) {
	if l.skip > 0 {
		if l.skip--; l.skip == 0 {
			l.openWindowLocked(e.Time)
		}
		return
	}
	w := &l.window
	if !w.count(e, l.limit) {
		return
	}
	s := w.sample(e.Time, l.limit, l.opts.CPU())
	if l.decideLocked(s) && l.skip == 0 {
		l.openWindowLocked(e.Time)
	}
}

// openWindowLocked begins a window.
func (l *Limit) openWindowLocked(now time.Time) {
	l.window = window{begin: now, batch: now, seen: now, cpu: l.opts.CPU()}
}
