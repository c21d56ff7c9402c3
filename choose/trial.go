package choose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"concert"
	"concert/internal/units"
)

// trial is the state of a Run. One goroutine uses it.
type trial struct {
	Options
	models      []Model
	totalInputs int   // the number of inputs that are an argument of Run
	sample      []int // the indexes of the inputs that may be used
	inputs      int   // the number of indexes of sample that are used
	call        func(ctx context.Context, input int) error
	stream      func(ctx context.Context, ex concert.Executor, inputs iter.Seq[int]) iter.Seq[error]

	begin        time.Time
	runs         int // the number of runs of the work so far
	measurements int // the number of measurements so far
	next         int // the index in sample of the next input
	report       Report

	points       []*point // sorted by model and level
	base         *point   // the first model at its first level
	round        int      // the number of the current round; 0 while exploring
	halved       bool     // whether measurements take half of the usual time
	runsEnded    bool     // whether the rounds ended because too few runs were left
	skipped      []string // texts that say which point could not be measured, and why
	unusable     []int    // the indexes of models that could not be opened at some level
	exploreUntil time.Duration
	finalRate    float64       // the throughput of base in its last measurement, at the end of the run
	shares       []float64     // the share of CPU time of each run of the profile; empty if runs are very short
	times        []Span        // the tasks that ran alone, or at levels up to lowLevel
	setup        time.Duration // the time of the first run that its usage does not include, such as the import of a module
	spread       float64       // the standard deviation of times as a share of their mean; 0 while times has too few tasks
}

// point is a model at a level, with its measurements.
type point struct {
	model, level int // the index of the model, and the concurrency
	ex           concert.Executor
	rec          *recorder
	samples      []sample
	cost         time.Duration // the time that the last measurement took
	lastTasks    int           // tasks of the last measurement
	tasks        int
	failed       int
	err          error         // the first error of a task
	mean         time.Duration // the mean duration of a task in the last measurement
	busy         float64
	cpu          float64 // the CPU time of this process for each task in the last measurement, in seconds; 0 if it is unknown
	spans        []Span  // the tasks of the last measurement
	dropped      bool    // whether further rounds leave the point out
}

// sample is the throughput of a point in a round.
type sample struct {
	round int     // the number of the round; 0 while exploring
	rate  float64 // successful tasks per second
}

// lastRate returns the last measured throughput.
func (p *point) lastRate() float64 { return p.samples[len(p.samples)-1].rate }

// name returns the name of a point as users see it.
func (t *trial) name(p *point) string { return pointName(t.models[p.model].Name, p.level) }

// errStop ends the measurements: there is no time or no run left.
var errStop = errors.New("choose: no time or no run left")

// run makes the profile and the measurements, and returns the report.
func (t *trial) run(ctx context.Context) (*Report, error) {
	t.report.Machine = thisMachine()
	load := startLoad()
	if t.OnStep != nil {
		t.OnStep(Step{Best: -1})
	}
	if err := t.profile(ctx); err != nil {
		return nil, err
	}
	t.report.Kind = t.report.kind(t.shares)
	t.fitMemory()
	bounded, stop := context.WithDeadlineCause(ctx, t.begin.Add(2*t.Budget), errStop)
	defer stop()
	defer t.closeAll() // needed if the work calls runtime.Goexit on this goroutine, or if a callback panics
	err := t.exploreAndCompare(bounded)
	t.closeAll()
	t.report.Machine.Others, t.report.Machine.Stolen = load.since()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, errStop) || errors.Is(context.Cause(bounded), errStop):
		err = nil
	}
	if t.base == nil || len(t.base.samples) == 0 {
		if err == nil {
			err = fmt.Errorf("choose: no model was measured within %v and %d runs, because one run takes %v: increase Options.Budget or MaxRuns", t.Budget, t.runs, t.report.Profile.Wall)
		}
		return nil, err
	}
	if errors.Is(err, ErrFails) {
		return nil, err
	}
	t.buildReport(err != nil)
	return &t.report, err
}

// since returns the time since the start of Run.
func (t *trial) since() time.Duration { return time.Since(t.begin) }

// exploreAndCompare makes all measurements: it explores, compares the best
// points in rounds, and measures the base again.
func (t *trial) exploreAndCompare(ctx context.Context) error {
	if err := t.explore(ctx); err != nil {
		return err
	}
	if err := t.rounds(ctx); err != nil {
		return err
	}
	if t.since()+t.cost([]*point{t.base}) > t.Budget || t.base.cost >= t.Budget/maxDriftPart {
		return nil
	}
	// Measure the base again: the difference is the drift.
	t.next = 0
	if err := t.measure(ctx, t.base); err != nil {
		return err
	}
	t.finalRate = t.base.lastRate()
	t.base.samples = t.base.samples[:len(t.base.samples)-1]
	return nil
}

// fitMemory limits the concurrency to the free memory. Otherwise the machine
// might swap, or the kernel might kill a process.
func (t *trial) fitMemory() {
	p, free := &t.report.Profile, freeMemory()
	if p.Memory <= 0 || free <= 0 {
		return
	}
	if fit := max(1, int(free*4/5/p.Memory)); fit < t.MaxConcurrency {
		t.MaxConcurrency = fit
		t.skipped = append(t.skipped, fmt.Sprintf("concurrency above %d, because a run takes %s of memory and %s are free", fit, units.Bytes(p.Memory), units.Bytes(free)))
	}
}

// add returns a new point without measurements.
func (t *trial) add(model, level int) *point {
	p := &point{model: model, level: level}
	t.points = append(t.points, p)
	slices.SortFunc(t.points, func(a, b *point) int {
		return cmp.Or(cmp.Compare(a.model, b.model), cmp.Compare(a.level, b.level))
	})
	if t.base == nil {
		t.base = p
	}
	return p
}

// drop removes a point that could not be measured.
func (t *trial) drop(p *point) {
	p.close()
	t.points = slices.DeleteFunc(t.points, func(q *point) bool { return q == p })
	if t.base == p {
		t.base = nil
	}
}

// openError is the error if the executor of a point cannot be opened.
type openError struct{ err error }

// Error returns the error of Model.Open, with the name of the point.
func (e openError) Error() string { return e.err.Error() }

// Unwrap returns the error of Model.Open, with the name of the point.
func (e openError) Unwrap() error { return e.err }

// recordFrom is the minimum time of a run alone for which the tasks of
// measurements are recorded.
const recordFrom = time.Millisecond

// open opens the executor of a point, unless the executor is open or the model
// has no executor. It reports whether it opened the executor.
func (t *trial) open(p *point) (bool, error) {
	m := &t.models[p.model]
	if m.Open == nil || p.ex != nil {
		return false, nil
	}
	var observer concert.Observer
	if t.report.Profile.Wall >= recordFrom {
		p.rec = &recorder{}
		observer = p.rec.observe
	}
	if t.Observer != nil {
		observer = bothObservers(observer, t.Observer(m.Name, p.level))
	}
	ex, err := m.Open(p.level, observer)
	if err != nil {
		return false, openError{fmt.Errorf("%s: %w", t.name(p), err)}
	}
	p.ex = ex
	return true, nil
}

// bothObservers returns an observer that calls two observers, each of which may
// be nil.
func bothObservers(a, b concert.Observer) concert.Observer {
	if a == nil || b == nil {
		if a == nil {
			return b
		}
		return a
	}
	return func(e concert.Event) {
		a(e)
		b(e)
	}
}

// close closes the executor of a point. The next measurement opens it again.
func (p *point) close() {
	if p.ex != nil {
		p.ex.Close()
		p.ex = nil
	}
}

func (t *trial) closeAll() {
	for _, p := range t.points {
		p.close()
	}
}
