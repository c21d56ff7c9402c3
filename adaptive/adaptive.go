// Package adaptive has a concurrency limit that adjusts itself. A [Limit]
// measures the throughput of its pool at different limits, and settles at the
// lowest limit with the highest throughput.
//
//	ex := goroutines.New(0, &goroutines.Options{Limit: adaptive.New(nil)})
//
// Use a Limit for a pool that runs for long, and whose best concurrency is
// unknown or changes. An example is a pool that sends requests to a server. For
// a batch of the same work, package concert/choose measures once and recommends
// a fixed number.
//
// # How the limit is found
//
// A Limit measures throughput: it counts the tasks that succeed during a window
// of time. Then it changes the number of tasks that may run, and measures the
// throughput of the next window. A Limit is always in one of three phases:
//
//	climbing   doubles the limit while doubling increases throughput by at least
//	           6%; then it begins to hold
//	holding    keeps the limit for some windows, and then tries 50% more or 25%
//	           fewer; after a failed try, the next try is in the other direction
//	trying     keeps a higher limit if throughput increases by at least 6% of the
//	           increase of the limit (3% for 50% more);
//	           keeps a lower limit if throughput decreases by at most 6% of the
//	           decrease of the limit; otherwise it returns to the old limit
//
// After a successful try, a Limit holds for one window, and then tries the
// same direction again. After a failed try it holds for twice as many
// windows as after the previous failure, at most 8. After failures in both
// directions, the steps become half as large, but at least 12.5% up and
// 6.25% down. So a Limit settles at the lowest limit for which no higher
// limit has a clearly higher throughput.
//
// If the throughput at the same limit changes by a factor of 1.25, the
// conditions have changed. Then the Limit tries again without a pause: a lower
// limit if throughput has decreased, and a higher limit if throughput has
// increased.
//
// # Windows
//
// A window consists of batches of results. A batch has as many results as
// the limit. A window begins after the results of the tasks that started
// under the previous limit. The window ends when its batches show with
// enough certainty whether the throughput is better. A window has at most
// 600 results, or ten results for each worker if that number is larger. So a
// Limit detects a large difference soon, and a small difference later.
//
// The limit does not rise while all processors are busy, or while clearly
// fewer tasks run than the limit allows. In these cases, not the limit but
// something else restricts throughput. While few tasks run, a Limit tries
// limits just below the number of running tasks. Times in which no task runs
// do not count.
//
// Failed tasks do not count as throughput. So the limit does not rise if a
// server refuses requests. The limit considers throughput and not latency.
// If two limits have the same throughput, a Limit chooses the lower one,
// because its tasks wait less.
package adaptive

import (
	"cmp"
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
	bestRate  throughput // the throughput at best; its rate is 0 if the throughput is unknown
	pause     int        // the number of windows to wait before another limit is tried
	nextPause int        // the value that pause gets if the next try fails
	up        bool       // whether the next limit to try is higher than best
	step      float64    // a higher limit is tried at best*(1+step), and a lower limit at best*(1-step/2)
	refused   bool       // whether the last try, which was in the other direction, failed
	measured  bool       // whether climbing has measured bestRate, so that the next limit can be compared with it
	running   int        // the number of running tasks
	skip      int        // the number of results to ignore, because their tasks started under the previous limit
	window    window
	decisions []Decision // the last decisions, oldest first
}

// phase is what a Limit does. A Limit begins with climbing. Then holding and
// trying alternate.
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

	// CPU returns the CPU time that the tasks have used so far. A Limit
	// compares this time to the elapsed time, and does not rise while all
	// processors are busy. Nil means the CPU time of this process. If the CPU
	// time is unknown, as on Windows, the processors never count as busy.
	CPU func() time.Duration

	// OnDecision, if set, is called with each decision. The call is on the
	// goroutine of a task, and the Limit holds its lock during the call. So
	// OnDecision must return soon, and must not call methods of the Limit.
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

	// The bounds of Limit.step. If the two are equal, TestLimit fails.
	largestStep  = 0.5
	smallestStep = 0.125

	// worthShare determines whether a change of the limit is kept. A higher
	// limit is kept if the relative increase of throughput is at least this
	// share of the relative increase of the limit. A lower limit is kept if
	// the relative decrease of throughput is at most this share of the
	// relative decrease of the limit.
	worthShare = 0.06

	// If the throughput at one limit changes by this factor, the conditions
	// have changed. Without it, TestLimit_CapacityChanges and
	// TestLimit_FewTasks fail.
	changed = 1.25

	// busyProcessors is the share of CPU time at which all processors count as
	// busy. Without it, TestLimit_Bounds fails.
	busyProcessors = 0.9

	// busyWorkers is a share of the limit. If fewer tasks run, something other
	// than the limit restricts the number of running tasks. Without it,
	// TestLimit_OneTaskAtATime, TestLimit_FewTasks and TestLimit_Lull fail.
	busyWorkers = 0.75

	// The minimum and the maximum number of windows for which the best limit
	// is held. Without a pause, TestLimit and TestLimit_Overload fail. If
	// maxPause is equal to minPause, throughput in TestLimit is 0.5% lower.
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
	o.Max = cmp.Or(o.Max, max(defaultMax, o.Min))
	if o.Min > o.Max {
		panic(fmt.Sprintf("adaptive: New: Options.Min is %d and Options.Max is %d; Min must not be above Max", o.Min, o.Max))
	}
	o.Start = cmp.Or(o.Start, runtime.GOMAXPROCS(0))
	if o.CPU == nil {
		o.CPU = processCPU
	}
	l.limit = min(max(o.Start, o.Min), o.Max)
	l.best = l.limit
	return l
}

// Limit implements goroutines.Limit: it records the event, and returns the
// limit that applies after the event.
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
