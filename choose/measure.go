package choose

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"concert"
)

// plan describes a measurement: the number of its tasks, and its duration.
type plan struct {
	tasks    int           // the number of tasks to run; 0 means that length limits the measurement
	length   time.Duration // if tasks is 0: the minimum time in which results are counted
	maxStart time.Duration // if the first task of each worker takes longer than this, the measurement gets no further inputs
	tiny     bool          // tasks are so short that the clock is not read for each of them
	maxTasks int           // the maximum number of tasks; 0 means no limit
	throttle bool          // the executor has at most one unfinished task for each worker, because tasks are long
}

// Lengths of a measurement, as parts of the budget. A measurement may be longer
// if tasks are long.
const (
	explorePart = 60  // while exploring, a measurement takes at most a 60th of the budget
	roundPart   = 25  // in rounds, a measurement takes at most a 25th of the budget
	minPart     = 200 // a measurement takes at least a 200th of the budget, unless it has a fixed number of tasks
)

// In a measurement, each worker runs between minWaves and maxWaves tasks, one
// after the other.
const (
	maxWaves    = 6
	minWaves    = 3
	enoughTasks = 96 // a measurement has fewer waves than maxWaves if maxWaves waves would have more tasks than this
)

const throttleFrom = 5 * time.Millisecond // if tasks take longer than this, plan.throttle is set

// runsPart is the part of MaxRuns that a measurement uses at most, unless
// minWaves waves are more.
const runsPart = 20

// planFor plans the measurement of a point. The parameter rate is the
// expected throughput of the point.
func (t *trial) planFor(p *point, rate float64) plan {
	alone := t.report.Profile.Wall
	longest := t.Budget / explorePart
	if t.round > 0 {
		longest = t.Budget / roundPart
	}
	waves := min(max(enoughTasks/p.level, minWaves), maxWaves)
	if time.Duration(waves)*alone > longest {
		n := int(rate*longest.Seconds()) / p.level
		return plan{tasks: min(max(n, 1), waves) * p.level, throttle: true}
	}
	length := max(t.Budget/minPart, time.Duration(waves)*alone)
	if t.halved {
		length /= 2
	}
	return plan{
		length:   length,
		maxStart: longest,
		tiny:     alone < tinyRun,
		throttle: alone > throttleFrom,
	}
}

// maxTasks returns the maximum number of tasks in the next measurement of a
// point, for plan.maxTasks.
func (t *trial) maxTasks(p *point) int {
	if t.MaxRuns == 0 {
		return 0
	}
	n := min(max(t.MaxRuns/runsPart, minWaves*p.level), t.MaxRuns-t.runs)
	return n - n%p.level // in an incomplete wave, some workers would be idle
}

// measurement is the result of measuring a point.
type measurement struct {
	rate   float64 // successful tasks per second
	tasks  int     // the number of tasks that ran
	failed int
	err    error         // the error of the first task that failed
	mean   time.Duration // the mean duration of a successful task, or 0 if it is unknown
	spans  []Span
}

// add counts a task that returned err.
func (m *measurement) add(err error) {
	m.tasks++
	if err != nil {
		m.failed++
		if m.err == nil {
			m.err = err
		}
	}
}

// A measurement is repeated, at most twice, if its steal time is more than
// maxSteal. The number of repetitions in a run is limited to about
// freeRemeasured plus one for every remeasurePart measurements. Otherwise no
// time would be left for the rounds.
const (
	maxSteal       = 0.1 // the share of the processor time
	remeasurePart  = 4
	freeRemeasured = 3
)

// The durations of tasks count for the spread only if the tasks do not wait for
// each other. This holds at level 1. It also holds at levels up to lowLevel if
// the throughput is more than minLinear times the throughput without waits. The
// durations also count if a task takes more than maxUnequal times the longest
// possible wait: then inputs differ in cost.
const (
	lowLevel   = 4
	minLinear  = 0.75
	maxUnequal = 1.5
)

// measure measures a point once, and adds the result to its samples.
func (t *trial) measure(ctx context.Context, p *point) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !t.enoughRuns(p.level) {
		t.runsEnded = t.runsEnded || t.round > 0
		return errStop
	}
	if t.since() >= t.Budget {
		return errStop
	}
	t.announce(p)
	opened, err := t.open(p)
	if err != nil {
		return err
	}
	rate := float64(p.level) / max(t.report.Profile.Wall, 1).Seconds()
	if len(p.samples) > 0 {
		rate = p.lastRate()
	} else if best := t.leader(); best != nil && p.level > best.level {
		rate = min(rate, 2*best.lastRate())
	}
	if opened && t.importsModules() && t.enoughRuns(2*p.level) {
		if err := t.warmUp(ctx, p); err != nil {
			return err
		}
		opened = false
	}
	plan := t.planFor(p, rate)
	if opened && plan.tasks == p.level && float64(p.level) < rate*(t.Budget/explorePart).Seconds() {
		plan.tasks *= 2 // because the first task of a worker may take longer
	}
	var got measurement
	t.measurements++
	for again := range 3 {
		plan.maxTasks = t.maxTasks(p)
		begin, cpu, own := time.Now(), readProcessors(), ownCPU()
		if p.ex == nil {
			got = t.measureLoop(ctx, plan)
		} else {
			got = t.measurePool(ctx, p.ex, p.rec, p.level, plan)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if got.tasks == 0 {
			return errStop
		}
		p.cost, p.lastTasks, p.cpu = time.Since(begin), got.tasks, (ownCPU()-own).Seconds()/float64(got.tasks)
		p.tasks += got.tasks
		p.failed += got.failed
		if p.err == nil {
			p.err = got.err
		}
		var steal float64
		p.busy, steal = cpu.since()
		if steal < maxSteal || t.report.Remeasured > freeRemeasured+t.measurements/remeasurePart || !t.enoughRuns(p.level) || t.since()+2*p.cost > t.Budget {
			break
		}
		if again < 2 {
			t.report.Remeasured++
		}
	}
	p.spans, p.mean = got.spans, got.mean
	if linear := float64(p.level) / max(t.report.Profile.Wall, 1).Seconds(); p.level == 1 || p.level <= lowLevel && got.rate > minLinear*linear || t.inputsDiffer(p) {
		t.times = append(t.times, got.spans...)
		t.spread = relativeDeviation(t.times)
	}
	p.samples = append(p.samples, sample{t.round, got.rate})
	return nil
}

// importsModules reports whether the first task of a worker takes much longer
// than other tasks, because it imports a module.
func (t *trial) importsModules() bool {
	return t.setup > max(t.report.Profile.Wall/4, t.Budget/(10*minPart))
}

// warmUp runs a task on each worker of a new executor. Otherwise the first
// measurement of the executor would show how long an import takes.
func (t *trial) warmUp(ctx context.Context, p *point) error {
	next := t.next
	got := t.measurePool(ctx, p.ex, p.rec, p.level, plan{tasks: p.level})
	t.next = next
	p.tasks += got.tasks
	p.failed += got.failed
	if p.err == nil {
		p.err = got.err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if t.since() >= t.Budget {
		return errStop
	}
	return nil
}

// inputsDiffer reports whether an input of the last measurement of a point
// takes much longer than the inputs of the profile. At level n, the tasks
// may have waited for each other. So inputsDiffer compares the time of one
// task with the time of n inputs of the profile.
func (t *trial) inputsDiffer(p *point) bool {
	longest := time.Duration(maxUnequal * float64(p.level) * float64(t.report.Profile.Slowest))
	return slices.ContainsFunc(p.spans, func(s Span) bool { return s.End-s.Start > longest })
}

// measureLoop measures the work in a plain loop.
func (t *trial) measureLoop(ctx context.Context, plan plan) (got measurement) {
	begin := time.Now()
	batch := 1
	for ctx.Err() == nil {
		for range batch {
			if plan.maxTasks > 0 && got.tasks >= plan.maxTasks {
				break
			}
			var started time.Time
			if !plan.tiny {
				started = time.Now()
			}
			err := t.callRecovered(ctx, t.next)
			if !plan.tiny {
				got.spans = append(got.spans, Span{Start: started.Sub(begin), End: time.Since(begin), Failed: err != nil})
			}
			t.next = (t.next + 1) % t.inputs
			t.runs++
			got.add(err)
		}
		took := time.Since(begin)
		if plan.maxTasks > 0 && got.tasks >= plan.maxTasks || plan.tasks > 0 && got.tasks >= plan.tasks || plan.tasks == 0 && took >= plan.length {
			break
		}
		if plan.tiny && took < plan.length/100 {
			batch *= 2 // because reading the clock takes longer than a tiny task
		}
	}
	took := time.Since(begin)
	got.rate = float64(got.tasks-got.failed) / took.Seconds()
	got.mean = took / time.Duration(max(1, got.tasks))
	return got
}

// tinyBatch is the number of tiny tasks after which the clock is read.
const tinyBatch = 64

// maxFailures is the number of failures after which a measurement ends, if more
// than half of its tasks have failed.
const maxFailures = 50

// measurePool measures the work on the executor of a point at level n.
//
//	inputFeed --> Map --> executor --> results, each with its time
//
//	results   |<- n: warm-up ->|<-------- window -------->|<- emptying ->|
//	inputs    |------------------ until here ------------>|
//
// The window begins with the n-th result, when each worker has completed a
// task. The time until the n-th result shows how long a task takes at this
// level. Further inputs follow for twice this time, and at least for
// plan.length. If the n-th result comes after plan.maxStart, no further inputs
// follow. If plan.tasks is set, the inputs end after this number of tasks. If
// the window has too few results, the rate is calculated from the whole
// measurement.
func (t *trial) measurePool(ctx context.Context, ex concert.Executor, rec *recorder, n int, plan plan) (got measurement) {
	if rec != nil {
		rec.reset()
	}
	f := &inputFeed{plan: plan, begin: time.Now()}
	if plan.throttle {
		f.slots = make(chan struct{}, max(n, min(ex.Width(), 2*n)))
	}
	w := window{lag: n}
	if plan.tiny {
		w.each, w.lag = tinyBatch, 1
	}
	open := false // whether the window has begun
	for err := range t.stream(ctx, ex, f.inputs(ctx, t.next, t.inputs)) {
		if err != nil && ctx.Err() != nil {
			break
		}
		got.add(err)
		if got.failed >= maxFailures && 2*got.failed > got.tasks {
			f.until.Store(-1)
		}
		if plan.throttle {
			<-f.slots
		}
		if plan.tiny && got.tasks%w.each != 0 {
			continue
		}
		now := time.Since(f.begin)
		if !open && (got.tasks >= n && !plan.tiny || plan.tiny && now >= plan.length/2) {
			open = true
			switch {
			case plan.tasks > 0:
			case now > plan.maxStart && !plan.tiny:
				f.until.Store(-1)
			case plan.tiny:
				f.until.CompareAndSwap(0, (now + plan.length).Nanoseconds())
			default:
				f.until.CompareAndSwap(0, (now + max(plan.length, 2*now)).Nanoseconds())
			}
		}
		if open && err == nil {
			w.arrivals = append(w.arrivals, now)
		}
	}
	took := time.Since(f.begin)
	t.next = (t.next + f.count) % t.inputs
	t.runs += f.count
	if rec != nil {
		got.spans, got.mean = rec.recorded()
	}
	if got.rate = w.rate(f.last); got.rate == 0 {
		got.rate = float64(got.tasks-got.failed) / max(took, 1).Seconds()
	}
	return got
}

// inputFeed yields inputs for a Map until the measurement has enough
// results. The Map calls it on another goroutine than that of measurePool.
type inputFeed struct {
	plan
	slots chan struct{} // if the plan is throttled: contains an element for each task that the executor has
	until atomic.Int64  // when to stop, in nanoseconds since begin; 0 if the time is not known yet, -1 to stop at once
	begin time.Time

	// Read only after the Map has ended:
	count int           // the number of inputs that were yielded
	last  time.Duration // when the last input was yielded, since begin
}

// inputs yields indexes of inputs until the measurement has enough results.
// The parameter first is the index at which it begins. The parameter total
// is the number of inputs: index 0 follows index total-1.
func (f *inputFeed) inputs(ctx context.Context, first, total int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; (f.tasks == 0 || i < f.tasks) && (f.maxTasks == 0 || i < f.maxTasks); i++ {
			if f.throttle {
				select {
				case f.slots <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
			if !f.tiny || i%tinyBatch == 0 {
				now := time.Since(f.begin)
				if until := f.until.Load(); until < 0 || until > 0 && now.Nanoseconds() >= until {
					return
				}
				f.last = now
			}
			f.count++
			if !yield((first + i) % total) {
				return
			}
		}
	}
}
