package choose

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"time"

	"concert"
	"concert/choose/usage"
	"concert/executor"
	"concert/internal/option"
)

// Options configures Run. Nil and the zero value stand for the defaults.
type Options struct {
	// Budget is the time limit. Zero means 20 seconds, and the maximum is a
	// year. If a measurement is running at the end of the budget, Run finishes
	// it. After twice the budget Run cancels the contexts of its tasks.
	Budget time.Duration

	// MaxRuns is the maximum number of runs of the work. Zero means no limit.
	MaxRuns int

	// MaxConcurrency is the highest concurrency to try. Zero means 256. Values
	// above 1<<20 count as 1<<20.
	MaxConcurrency int

	// Profile runs the work once, with the input at the given index, and
	// returns what the run used. The index counts from 0. Nothing else runs at
	// the same time. If the run fails and its usage is unknown, the elapsed
	// time is 0. Nil means [usage.Call], which is right for functions that do
	// their work in this process.
	Profile func(ctx context.Context, input int) (usage.Usage, error)

	// Observer, if set, returns an observer for the executor of a model at a
	// concurrency. The executor calls the observer for all tasks of the
	// measurements, for example to write a trace with package concert/trace.
	// Observer may return nil.
	Observer func(model string, concurrency int) concert.Observer

	// OnStep, if set, is called before each step, on the goroutine of Run.
	OnStep func(Step)
}

const (
	defaultBudget         = 20 * time.Second
	maxBudget             = 365 * 24 * time.Hour
	defaultMaxConcurrency = 256
	highestConcurrency    = 1 << 20
)

// ErrFails is wrapped by the error of Run if the work fails with all inputs
// when it runs alone.
var ErrFails = errors.New("choose: the work fails when it runs alone")

// ErrTooLong is wrapped by the error of Run if one run of the work takes longer
// than the budget.
var ErrTooLong = errors.New("choose: one run takes longer than the budget")

// Run measures fn under each model, and returns a report with the
// recommended model and concurrency. It uses one input after the other, and
// begins again after the last one. If there are many inputs, Run uses a
// sample of the inputs. The first model at its first level is the base, to
// which all gains refer. Order the models from the simplest to the least
// simple: of two equally good models Run recommends the first one. Register
// fn if some executors run it in other processes.
//
// Run takes about as long as the budget, or less if the verdict is clear. When
// ctx ends, Run returns the report so far, and the cause of ctx. The report is
// nil if nothing was measured after the profile.
//
// Errors and panics of fn count as failures. Run fails if fn fails with all
// inputs, alone or with the first model ([ErrFails]), if one run takes longer
// than the budget ([ErrTooLong]), or if the first model cannot be opened. If
// another model cannot be opened, Run leaves it out and adds a caveat. In the
// profile and in a plain loop, Run calls fn on the goroutine of the caller of
// Run. So runtime.Goexit in fn ends that goroutine.
//
// Run panics if fn is nil, if there are no inputs or no models, if two models
// have the same name, or if a number in the options is negative.
func Run[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), inputs []In, models []Model, opts *Options) (*Report, error) {
	if fn == nil || len(inputs) == 0 {
		panic("choose: Run: fn is nil, or there are no inputs")
	}
	checkModels(models)
	sample := sampleOf(len(inputs))
	t := &trial{models: models, totalInputs: len(inputs), sample: sample, inputs: len(sample), begin: time.Now()}
	if opts != nil {
		t.Options = *opts
	}
	option.NotNegative("choose: Run", "Options.Budget", t.Budget)
	option.NotNegative("choose: Run", "Options.MaxRuns", t.MaxRuns)
	option.NotNegative("choose: Run", "Options.MaxConcurrency", t.MaxConcurrency)
	t.Budget = cmp.Or(t.Budget, defaultBudget)
	t.MaxConcurrency = cmp.Or(t.MaxConcurrency, defaultMaxConcurrency)
	t.Budget, t.MaxConcurrency = min(t.Budget, maxBudget), min(t.MaxConcurrency, highestConcurrency)
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
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	return t.run(ctx)
}
