package choose

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"concert"
	"concert/internal/option"
)

// AdaptiveLimit adjusts the number of concurrent tasks of a pool at run time,
// to the lowest limit with the highest throughput. It is for
// goroutines.Options.Limit:
//
//	ex := goroutines.New(0, &goroutines.Options{Limit: choose.Adaptive(nil)})
//
// # How it goes about it
//
// It counts the tasks that succeed in a window of time, tries another limit for
// a window, and stays with what does more:
//
//	climbing   doubles the limit, as long as that gains a fifth or more
//	holding    for some windows, then tries half as many again and a quarter fewer, in turn
//	trying     more has to gain 6% of what it is more (3% for half as many again), or it goes back
//	           fewer may lose 6% of what it is fewer, or it goes back
//	           what has worked is tried again with the next window; after what has not, it holds for twice as
//	           many windows as before, up to 8, and when neither has, the steps are half as large, down to an
//	           eighth and a sixteenth
//
// So it comes to rest at the lowest limit that does as much as a higher one.
// When throughput changes by a quarter at the same limit, something else has
// changed: it tries again at once, fewer if it has fallen and more if it has
// risen.
//
// A window is of batches of results, one or more for each worker, after one
// each that was begun under the old limit. It ends when it is clear, by how
// much the batches differ, on which side of such a bound the throughput is, and
// after some hundred results in any case. So what makes a large difference is
// seen soon, and what is random takes its time.
//
// It does not try more while the processors are full, or while clearly fewer
// tasks run than may: then it is not the limit that holds them up. In such a
// lull fewer have to gain something, lest the limit be low when there is more
// to do again. Pauses, in which no task runs, do not count.
//
// Tasks that fail do not count, so it does not climb into a server that
// refuses. It judges by throughput and not by latency: of two limits that do
// the same it takes the lower, which is the one with the shorter queue.
//
// Its methods are safe for concurrent use. One AdaptiveLimit is for one pool.
type AdaptiveLimit struct {
	opts AdaptiveOptions

	mu sync.Mutex
	// Guarded by mu:
	limit    int // that is told
	home     int // that is held; another than limit while that is tried
	phase    phase
	rate     measured // at home
	pause    int      // windows until the next try
	patience int      // windows to pause when a try has failed
	up       bool     // the next try is of more
	step     float64  // by what share
	refused  bool     // the last try, of the other direction, has not worked
	begun    bool     // there has been a window to compare to
	lull     bool     // the try is made while there is little to do
	running  int      // tasks
	skip     int      // results that do not count, from before the limit was what it is
	window   limitWindow
	decided  []Decision // the last ones, the oldest first
}

// phase is what an AdaptiveLimit does: climbing leads to holding, holding to
// trying and back.
type phase uint8

const (
	climbing phase = iota
	holding
	trying
)

// AdaptiveOptions tunes an AdaptiveLimit. The zero value, and nil, are ready to
// use.
type AdaptiveOptions struct {
	// Least and Most are the bounds of the limit. Zero means 1 and 256. Values
	// above 1<<24 count as 1<<24.
	Least, Most int

	// Start is the first limit. Zero means the number of processors that Go
	// uses. It is kept between Least and Most.
	Start int

	// CPU returns the CPU time that the tasks have used so far. From it and the
	// elapsed time, the limit computes whether the processors are full. Nil
	// means the CPU time of this process. If that is unknown, the processors
	// count as never full.
	CPU func() time.Duration

	// Decided, if set, is called with each decision, on the goroutine of a
	// task, with a lock held. So it must return soon and not use the limit.
	Decided func(Decision)
}

// Decision is a change of an AdaptiveLimit, or an attempt that did not lead to
// a change.
type Decision struct {
	Time time.Time
	From int     // the limit before
	To   int     // the limit from now on
	Rate float64 // tasks a second that were seen at From
	Why  string  // "gained 48%", "lost 2%", ...
}

// String is the decision in words.
func (d Decision) String() string {
	return fmt.Sprintf("%d -> %d: %s, at %s a second", d.From, d.To, d.Why, number(d.Rate))
}

const (
	defaultMostLimit = 256
	highestLimit     = 1 << 24
	climbGain        = 1.2 // doubling has to gain that
	largestStep      = 0.5 // up; down it is half of that
	leastStep        = 0.125
	worth            = 0.06 // a step up has to gain that share of it, and a step down may lose it
	upheaval         = 1.25 // a change of throughput at the same limit
	fullShare        = 0.9  // of the processors is all of them
	busyShare        = 0.75 // of the workers is as many as may be
	leastPatience    = 2    // windows
	mostPatience     = 8
	smoothing        = 0.3 // of a new window in the throughput at home
	batchSize        = 8   // results, or one for each worker if they are more
	mostResults      = 600 // in a window, or ten for each worker if that is more
	precise          = 0.04
	rough            = 0.3
	lullGain         = 1.05
	fair             = 0.06 // is precise enough where nothing is to be decided
	fairResults      = 400
	keptDecisions    = 100
)

// Adaptive returns an AdaptiveLimit. It panics if a number in the options is
// negative, or Least is above Most.
func Adaptive(opts *AdaptiveOptions) *AdaptiveLimit {
	l := &AdaptiveLimit{patience: leastPatience, up: true, step: largestStep}
	if opts != nil {
		l.opts = *opts
	}
	o := &l.opts
	option.NotNegative("choose: Adaptive", "AdaptiveOptions.Least", o.Least)
	option.NotNegative("choose: Adaptive", "AdaptiveOptions.Most", o.Most)
	option.NotNegative("choose: Adaptive", "AdaptiveOptions.Start", o.Start)
	o.Least, o.Most = max(min(o.Least, highestLimit), 1), min(o.Most, highestLimit)
	if o.Most == 0 {
		o.Most = max(defaultMostLimit, o.Least)
	}
	if o.Least > o.Most {
		panic(fmt.Sprintf("choose: Adaptive: AdaptiveOptions.Least is %d, above Most, which is %d", o.Least, o.Most))
	}
	if o.Start == 0 {
		o.Start = runtime.GOMAXPROCS(0)
	}
	if o.CPU == nil {
		o.CPU = processCPU
	}
	l.limit = min(max(o.Start, o.Least), o.Most)
	l.home = l.limit
	return l
}

// Limit implements goroutines.Limit.
func (l *AdaptiveLimit) Limit(e concert.Event) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.window.pass(e.Time, l.running)
	switch e.Kind {
	case concert.TaskStarted:
		l.running++
		if l.window.begin.IsZero() && l.skip == 0 {
			l.open(e.Time)
		}
	case concert.TaskFinished:
		if e.Worker >= 0 { // else it never ran
			l.running--
			l.finished(e)
		}
	}
	return l.limit
}

// Now returns the limit at this moment.
func (l *AdaptiveLimit) Now() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// Decisions returns the last hundred decisions, the oldest first.
func (l *AdaptiveLimit) Decisions() []Decision {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Decision(nil), l.decided...)
}

// finished counts a result, and decides when that is clear. The caller holds
// mu, like that of all that follow.
func (l *AdaptiveLimit) finished(e concert.Event) {
	if l.skip > 0 {
		if l.skip--; l.skip == 0 {
			l.open(e.Time)
		}
		return
	}
	w := &l.window
	if !w.count(e, max(batchSize, l.limit)) {
		return
	}
	s := sight{measured: w.measured(), now: e.Time, enough: w.all >= max(mostResults, 10*l.limit)}
	took := e.Time.Sub(w.begin)
	s.full = float64(l.opts.CPU()-w.cpu) > fullShare*float64(took+w.idle)*float64(runtime.GOMAXPROCS(0))
	s.running = float64(w.busy) / float64(max(took, 1))
	s.starved = s.running < busyShare*float64(l.limit)
	if l.decide(s) && l.skip == 0 {
		l.open(e.Time)
	}
}

// open begins a window.
func (l *AdaptiveLimit) open(now time.Time) {
	l.window = limitWindow{begin: now, batch: now, seen: now, cpu: l.opts.CPU()}
}

// sight is what was seen in a window so far.
type sight struct {
	measured
	now     time.Time
	enough  bool // it has to be decided now
	full    bool // the processors are
	starved bool // there are clearly fewer tasks than might run
	running float64
}

// decide says what is next, if that is clear by now.
func (l *AdaptiveLimit) decide(s sight) bool {
	switch l.phase {
	case climbing:
		return l.climb(s)
	case holding:
		return l.hold(s)
	}
	return l.judge(s)
}

// climb is for a window while climbing; home is the limit before this one.
func (l *AdaptiveLimit) climb(s sight) bool {
	why := "the beginning"
	switch {
	case s.starved && l.limit != l.home: // so many never run: it is not known what they would gain
		l.phase, l.up = holding, false
		l.move(s, l.home, "fewer tasks than that")
		return true
	case s.starved: // tasks come one by one, and there is nothing to climb for
		if s.enough {
			l.phase, l.up = holding, false
		}
		return s.enough
	}
	if !l.begun && s.err > rough && !s.enough {
		return false
	}
	if l.begun {
		gained, known := s.over(l.rate, climbGain, s.enough)
		if !known {
			return false
		}
		why = change(s.rate, l.rate.rate)
		if !gained {
			l.phase, l.up = holding, true
			l.move(s, l.home, why)
			return true
		}
	}
	l.home, l.rate, l.begun = l.limit, s.measured, true
	if s.full || s.rate == 0 || l.limit == l.opts.Most {
		l.phase, l.pause, l.up = holding, l.patience, false
		return true
	}
	l.move(s, min(2*l.limit, l.opts.Most), why)
	return true
}

// hold is for a window at home.
func (l *AdaptiveLimit) hold(s sight) bool {
	if s.err > fair && l.window.all < max(fairResults, 2*l.limit) {
		return false
	}
	ratio := s.rate / max(l.rate.rate, 1e-9)
	if l.rate.rate == 0 {
		l.rate = s.measured // it has just come here
	} else if noise := 1.5 * math.Hypot(s.err, l.rate.err); ratio > upheaval+noise || ratio < 1/(upheaval+noise) {
		l.up = ratio > 1
		l.rate, l.patience, l.pause, l.step, l.refused = s.measured, leastPatience, 0, largestStep, false
	} else {
		l.rate.rate += smoothing * (s.rate - l.rate.rate)
		l.rate.err = min(l.rate.err, s.err)
	}
	if l.pause > 0 {
		l.pause--
		return true
	}
	if l.up && (s.full || s.starved || l.home == l.opts.Most) {
		l.up = false
	}
	if !l.up && l.home == l.opts.Least {
		l.up = true // with the next window, if the processors are not full
		return true
	}
	from := l.home
	if s.starved { // above what runs all limits are the same
		from = min(from, max(1, int(math.Round(s.running))))
	}
	l.lull = s.starved
	next, why := max(from-max(1, int(float64(from)*l.step/2)), l.opts.Least), "to see whether fewer do as much"
	if l.up {
		next, why = min(l.home+max(1, int(float64(l.home)*l.step)), l.opts.Most), "to see whether more do more"
	}
	l.phase = trying
	l.move(s, next, why)
	return true
}

// judge is for a window at a limit that is tried.
func (l *AdaptiveLimit) judge(s sight) bool {
	by := float64(l.limit)/float64(l.home) - 1
	bound := 1 + worth*by
	if l.lull {
		bound = lullGain // else a lull would bring the limit down, and there would be more to do soon
	}
	good, known := s.over(l.rate, bound, s.enough)
	if !known && !s.starved {
		return false
	}
	l.phase = holding
	why := change(s.rate, l.rate.rate)
	if !good || s.starved && !l.lull {
		l.pause, l.patience = l.patience, min(2*l.patience, mostPatience)
		if l.refused {
			l.step = max(l.step/2, leastStep)
		}
		l.up, l.refused = !l.up, !l.refused
		l.move(s, l.home, why)
		return true
	}
	// The same way once more, after a window that this is not chosen for being
	// good.
	l.home, l.pause, l.patience, l.rate, l.refused = l.limit, 0, leastPatience, measured{}, false
	l.step = min(2*l.step, largestStep)
	l.note(Decision{s.now, l.limit, l.limit, s.rate, why})
	return true
}

// move changes the limit, and has what was begun under the old one not count.
func (l *AdaptiveLimit) move(s sight, to int, why string) {
	l.note(Decision{s.now, l.limit, to, s.rate, why})
	l.skip = max(l.limit, to)
	l.limit = to
}

func (l *AdaptiveLimit) note(d Decision) {
	if len(l.decided) == keptDecisions {
		l.decided = append(l.decided[:0], l.decided[1:]...)
	}
	l.decided = append(l.decided, d)
	if l.opts.Decided != nil {
		l.opts.Decided(d)
	}
}

// change is a change of throughput in words.
func change(now, before float64) string {
	if now == 0 && before == 0 {
		return "nothing succeeds"
	}
	if now >= before {
		return fmt.Sprintf("gained %.0f%%", 100*(now/max(before, 1e-9)-1))
	}
	return fmt.Sprintf("lost %.0f%%", 100*(1-now/before))
}
