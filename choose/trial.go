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

// trial is a Run that goes on. It is used by one goroutine.
type trial struct {
	Options
	models []Model
	given  int   // inputs
	sample []int // of these, by their numbers
	inputs int   // how many of the sample are used
	call   func(ctx context.Context, input int) error
	stream func(ctx context.Context, ex concert.Executor, inputs iter.Seq[int]) iter.Seq[error]

	begin  time.Time
	runs   int // so far
	slices int // likewise
	next   int // input
	report Report

	points []*point
	base   *point        // the first model's at its first level
	round  int           // that goes on; 0 while exploring
	broken []string      // what could not be tried, and why
	until  time.Duration // since the beginning: when to stop exploring the model that is explored
	last   float64       // rate of base at the end
	times  []Span        // of tasks alone, and at low levels
	spread float64       // their standard deviation, as a share of their mean; 0 while they are few
}

// point is a model at a level, and what is known of it.
type point struct {
	model, level int // index of the model
	ex           concert.Executor
	rec          *recorder
	samples      []sample
	cost         time.Duration // what the last slice took
	last         int           // tasks in the last slice
	tasks        int
	failed       int
	err          error
	mean         time.Duration // of a task in the last slice
	busy         float64
	spans        []Span
}

type sample struct {
	round int
	rate  float64
}

// explored returns the rate that was seen last.
func (p *point) explored() float64 { return p.samples[len(p.samples)-1].rate }

// errStop ends the trial where it is: there is no time left, or no run.
var errStop = errors.New("choose: no time or no run left")

func (t *trial) run(ctx context.Context) (*Report, error) {
	t.report.Machine = thisMachine()
	use := startOfUse()
	if t.OnStep != nil {
		t.OnStep(Step{})
	}
	if err := t.profile(ctx); err != nil {
		return nil, err
	}
	t.fitMemory()
	// What does not end is stopped some time.
	bounded, stop := context.WithDeadlineCause(ctx, t.begin.Add(2*t.Budget), errStop)
	defer stop()
	defer t.closeAll() // should the work end this goroutine, or a callback panic
	err := t.measure(bounded)
	t.closeAll()
	t.report.Machine.Others, t.report.Machine.Stolen = use.since()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, errStop) || errors.Is(context.Cause(bounded), errStop):
		err = nil
	}
	if t.base == nil || len(t.base.samples) == 0 {
		if err == nil {
			err = fmt.Errorf("choose: nothing but the profile was measured in %v and %d runs; one run takes %v", t.Budget, t.runs, t.report.Profile.Wall)
		}
		return nil, err
	}
	t.finish(err != nil)
	return &t.report, err
}

// since is how long it has taken so far.
func (t *trial) since() time.Duration { return time.Since(t.begin) }

func (t *trial) measure(ctx context.Context) error {
	if err := t.explore(ctx); err != nil {
		return err
	}
	if err := t.rounds(ctx); err != nil {
		return err
	}
	// The first again, to see drift.
	t.next = 0
	if err := t.slice(ctx, t.base); err != nil {
		return err
	}
	t.last = t.base.explored()
	t.base.samples = t.base.samples[:len(t.base.samples)-1]
	return nil
}

// fitMemory bounds the levels by the memory that there is: a trial that drives
// the machine into swapping, or has the kernel kill something, would be worse
// than none.
func (t *trial) fitMemory() {
	p, free := &t.report.Profile, freeMemory()
	if p.Memory <= 0 || free <= 0 {
		return
	}
	if fit := max(1, int(free*4/5/p.Memory)); fit < t.MaxConcurrency {
		t.MaxConcurrency = fit
		t.broken = append(t.broken, fmt.Sprintf("more than %d at a time, as each takes %s of memory and %s are free", fit, units.Bytes(p.Memory), units.Bytes(free)))
	}
}

// add returns a new point, which has not been measured.
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

// drop forgets a point that could not be measured.
func (t *trial) drop(p *point) {
	p.close()
	t.points = slices.DeleteFunc(t.points, func(q *point) bool { return q == p })
	if t.base == p {
		t.base = nil
	}
}

// errModel is a model that cannot be opened.
type errModel struct{ err error }

// Error is that of the model's Open, with its name.
func (e errModel) Error() string { return e.err.Error() }

// Unwrap returns it.
func (e errModel) Unwrap() error { return e.err }

// worthRecording is how long a task has to take for each to be looked at.
const worthRecording = time.Millisecond

// open opens the executor of a point, if it has one and it is not open, and
// reports whether it did.
func (t *trial) open(p *point) (bool, error) {
	m := &t.models[p.model]
	if m.Open == nil || p.ex != nil {
		return false, nil
	}
	var observer concert.Observer
	if t.report.Profile.Wall >= worthRecording {
		p.rec = &recorder{}
		observer = p.rec.observe
	}
	if t.Observer != nil {
		observer = both(observer, t.Observer(m.Name, p.level))
	}
	ex, err := m.Open(p.level, observer)
	if err != nil {
		return false, errModel{fmt.Errorf("%s: %w", pointName(m.Name, p.level), err)}
	}
	p.ex = ex
	return true, nil
}

// both tells two observers, each of which may be nil.
func both(a, b concert.Observer) concert.Observer {
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

// close closes the executor of a point; it is opened again if the point is
// measured again.
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
