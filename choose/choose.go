package choose

import (
	"context"
	"errors"
	"iter"
	"time"

	"concert"
	"concert/internal/option"
)

// Options tunes Run. The zero value, and nil, are ready to use.
type Options struct {
	// Budget is how long it may take. Zero means 20 seconds; a year is the
	// longest. A measurement that has begun when the time is over is finished.
	// After twice the time the contexts of its tasks end.
	Budget time.Duration

	// Runs bounds how often the work is run. Zero means no bound.
	Runs int

	// Most is the highest level that is tried. Zero means 256, and more than 1<<20 means that.
	Most int

	// Profile runs the work with the input of that number, from 0 up, while nothing else goes on, and says what
	// it used. Nil means [Alone], which is right for functions that do their work in this process.
	Profile func(ctx context.Context, input int) (Usage, error)

	// Observer, if set, returns an observer for the executor of a model at a level, which is told of
	// all tasks that are run there: for a trace, see package concert/trace. It may return nil.
	Observer func(model string, level int) concert.Observer

	// Follow, if set, is told what comes next. It is called by the goroutine of Run.
	Follow func(Step)
}

// Step is what Run does next.
type Step struct {
	Model   string // empty for the profile
	Level   int
	Elapsed time.Duration // since Run began
	Runs    int           // of the work, so far
	Profile *Profile      // nil while it is being made
}

// String says what is next: "alone", or "goroutines, 8 at a time".
func (s Step) String() string {
	if s.Model == "" {
		return "alone"
	}
	return at(s.Model, s.Level)
}

const (
	defaultBudget = 20 * time.Second
	defaultMost   = 256
	longestBudget = 365 * 24 * time.Hour
	highestLevel  = 1 << 20
)

// ErrFails is wrapped by the error of Run for work that fails when it runs alone, whatever the input.
var ErrFails = errors.New("the work fails when it runs alone")

// ErrTooLong is wrapped by the error of Run for work that takes longer than the budget for one run.
var ErrTooLong = errors.New("one run takes longer than the budget")

// Run runs fn with the inputs, in turn and again and again, under each model, and says which to take. Of many
// inputs it uses a sample: as many as there is time to run alone. The
// first model is what the others are compared to, and the order is from the simplest to the least
// simple, as the simpler one is taken of two that are as good. fn should be registered if
// some of the executors are elsewhere.
//
// It takes about as long as the budget, and less if the answer is clear. When ctx ends it returns what it
// has found until then, and the cause. The report is nil if nothing had been compared by then.
//
// Alone and in the plain loop fn is called on the goroutine of Run: a runtime.Goexit in it ends that. Errors that fn
// returns, and its panics, are counted. Run fails if there is no input with which fn succeeds alone (ErrFails), if a run
// takes longer than the budget (ErrTooLong), or if the first model cannot be opened. A model that
// cannot be opened otherwise is left out, and named in the caveats. Run panics if fn is nil, or if there are no inputs, or no
// models, or two of the same name, or a number in the options is negative.
func Run[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), inputs []In, models []Model, opts *Options) (*Report, error) {
	if fn == nil || len(inputs) == 0 {
		panic("choose: Run without a function or inputs")
	}
	check(models)
	sample := sampleOf(len(inputs))
	t := &trial{models: models, given: len(inputs), sample: sample, inputs: len(sample), begin: time.Now()}
	if opts != nil {
		t.Options = *opts
	}
	option.NotNegative("choose: Run", "Options.Budget", t.Budget)
	option.NotNegative("choose: Run", "Options.Runs", t.Runs)
	option.NotNegative("choose: Run", "Options.Most", t.Most)
	if t.Budget == 0 {
		t.Budget = defaultBudget
	}
	if t.Most == 0 {
		t.Most = defaultMost
	}
	t.Budget, t.Most = min(t.Budget, longestBudget), min(t.Most, highestLevel)
	chosen := make([]In, len(sample))
	for i, n := range sample {
		chosen[i] = inputs[n]
	}
	t.call = func(ctx context.Context, i int) error {
		_, err := fn(ctx, chosen[i])
		return err
	}
	t.stream = func(ctx context.Context, ex concert.Executor, numbers iter.Seq[int]) iter.Seq[error] {
		results := concert.MapUnordered(ctx, ex, fn, func(yield func(In) bool) {
			for i := range numbers {
				if !yield(chosen[i]) {
					return
				}
			}
		})
		return func(yield func(error) bool) {
			for _, err := range results {
				if !yield(err) {
					return
				}
			}
		}
	}
	return t.run(ctx)
}
