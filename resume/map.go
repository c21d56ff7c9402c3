package resume

import (
	"context"
	"fmt"
	"iter"

	"concert"
	"concert/executor"
)

// Map is like [concert.Map], but records each result in the journal. If the
// journal already has a result, Map takes it from there. For an input whose
// call has succeeded in an earlier run, Map yields the recorded result and
// does not call fn. A new result is durable in the journal before Map yields
// it.
//
// A call is identified by the name of fn, the input, and the type of the
// results. If an input occurs several times, each of its calls has its own
// record. The other inputs and their order do not matter. So a later run can
// have more or fewer inputs. Several functions can share a journal.
//
// On every executor, fn must be a function of [concert.Register] or
// python.Func. If it is not, Map yields one error that wraps
// [concert.ErrNotRegistered]. Inputs and results must be values that can be
// copied exactly: the rules of concert.Register hold, also if fn runs on
// goroutines. A recorded result is such a copy. If an input cannot be encoded,
// Map yields an error for it and does not call fn.
//
// The error of a failed call is recorded, too. The next run calls fn again,
// unless [Options.KeepFailed] is set. An error is not recorded if the call was
// canceled or has not started. The rules of concert.Register say what remains
// of a recorded error.
//
// If a result cannot be recorded, for example because the disk is full, Map
// yields the result together with the error. It yields only the error if the
// result is no longer in memory. The next run then calls fn again.
//
// The results have the order of the inputs. The index of an input in errors
// and events is its index in inputs. Events of the executor's observer exist
// only for inputs without a record. If the loop is left early, or ctx ends,
// the running calls are canceled. Some of them may return a result
// nevertheless. Such a result is recorded before the loop statement ends.
//
// Map takes at most 4096 inputs ahead of the results, or 4 for each worker if
// that is more. It keeps up to 32 MiB of waiting results in memory, and reads
// the other results from the journal. For each input of the run, it needs up
// to 40 bytes to count equal inputs.
//
// Everything else is as for concert.Map, with one exception: a circle of tasks
// that wait for each other does not end with [concert.ErrDeadlock] if one of
// the waits is a Map of this package.
func Map[In, Out any](ctx context.Context, ex concert.Executor, j *Journal, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Out, error] {
	if ctx == nil || ex == nil || j == nil || fn == nil || inputs == nil {
		panic("resume: Map with a nil context, executor, journal, function or inputs")
	}
	return func(yield func(Out, error) bool) {
		rec, err := executor.RecordingOf(fn)
		if err != nil {
			var zero Out
			yield(zero, fmt.Errorf("resume: Map: %w", err))
			return
		}
		r := newRun(ctx, ex, j, rec)
		defer r.stop()
		r.start(ex, fn, inputs)
		r.consume(yield)
	}
}
