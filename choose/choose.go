package choose

import (
	"context"
	"errors"
	"iter"
	"time"

	"concert"
	"concert/choose/usage"
	"concert/internal/option"
)

// Options tunes Run. The zero value, and nil, are ready to use.
type Options struct {
	// Budget is the time limit. Zero means 20 seconds, and the maximum is a
	// year. A measurement that is running when the time is over is finished;
	// after twice the time the contexts of its tasks end.
	Budget time.Duration

	// Runs is the maximum number of runs of the work. Zero means no limit.
	Runs int

	// Most is the highest level to try. Zero means 256. Values above 1<<20
	// count as 1<<20.
	Most int

	// Profile runs the work alone with the input of the given number, from 0
	// up, and returns what it used. Nil means [usage.Call], which is right for
	// functions that do their work in this process.
	Profile func(ctx context.Context, input int) (usage.Usage, error)

	// Observer, if set, returns an observer for the executor of a model at a
	// level, which is told of all tasks that are run there: for a trace, see
	// package concert/trace. It may return nil.
	Observer func(model string, level int) concert.Observer

	// Follow, if set, is called before each step, on the goroutine of Run.
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

// ErrFails is wrapped by the error of Run for work that fails when it runs
// alone, whatever the input.
var ErrFails = errors.New("the work fails when it runs alone")

// ErrTooLong is wrapped by the error of Run for work that takes longer than the
// budget for one run.
var ErrTooLong = errors.New("one run takes longer than the budget")

// Run runs fn with the inputs, in turn and many times, under each model, and
// reports which model to use. Of many inputs it uses a sample: as many as there
// is time to run alone. The other models are compared to the first one. Give
// the models from the simplest to the least simple, because of two equally good
// models the simpler one is recommended. Register fn if some executors run it
// in other processes.
//
// Run takes about as long as the budget, and less if the answer is clear. When
// ctx ends, it returns the measurements so far, and the cause of ctx. The
// report is nil if nothing had been compared by then.
//
// Alone and in the plain loop, fn is called on the goroutine of Run, and a
// runtime.Goexit in fn ends it. Errors and panics of fn are counted. Run fails
// if fn succeeds alone with no input ([ErrFails]), if one run takes longer than
// the budget ([ErrTooLong]), or if the first model cannot be opened. Another
// model that cannot be opened is omitted, and named in the caveats. Run panics
// if fn is nil, if there are no inputs or no models, if two models have the
// same name, or if a number in the options is negative.
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
