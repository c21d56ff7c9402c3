package concert

import (
	"context"
	"iter"

	"concert/executor"
)

// Map applies fn to every input on the executor's workers and returns the
// results in the order of the inputs, each as a value or an error. An error
// does not end the sequence. To stop at the first error, leave the loop.
//
// Map is lazy on both sides. It takes only so many inputs ahead of the
// results that the workers stay busy. This number is bounded, and depends on
// the executor's width and on the speed of fn. So the inputs may be endless,
// and all results together may need more memory than the machine has. While
// Map waits for the next input, it still returns finished results.
//
// Leaving the loop early cancels the context of the running calls, and the loop
// statement ends when they have returned. When ctx ends, the running calls are
// canceled as well, and the sequence ends with a last error: the cause of ctx.
// If the executor is closed or shut down before the Map ends, the last error is
// [ErrClosed]. If fn panics, the result for its input is a [*PanicError]. A
// panic in inputs is raised again in the loop, as a *PanicError, after the
// results of the inputs before it.
//
// A separate goroutine iterates the inputs. It has ended when the loop ends,
// with one exception: the loop is left early, and inputs neither yields nor
// returns within a tenth of a second. Then the goroutine still runs after
// the loop, and ends when inputs yields the next value or returns.
//
// A call in a Map costs far less than a Submit, because it needs no future.
// Each range over the sequence runs everything again. Like [Future.Result],
// Map cannot deadlock in a task if ctx is the task's context. Map panics if
// ctx, ex, fn or inputs is nil.
func Map[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return values(executor.Map(ctx, ex, fn, inputs, true))
}

// MapUnordered does the same as [Map], but returns the results in the order
// in which the calls finish. So a slow call delays no other result. If a
// result does not show which input it belongs to, use [MapIndexed].
func MapUnordered[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return values(executor.Map(ctx, ex, fn, inputs, false))
}

// Indexed is a result with the index of its input.
type Indexed[Out any] struct {
	// Index is the index of the input, from 0 up. It is -1 for the last error
	// of the sequence if that error concerns the whole Map.
	Index int64
	// Value is the result. It is zero if there is an error.
	Value Out
}

// MapIndexed does the same as [MapUnordered], but returns each result and
// each error with the index of its input.
//
//	for got, err := range concert.MapIndexed(ctx, ex, thumbnail, slices.Values(paths)) {
//		if err != nil {
//			log.Printf("%s: %v", paths[got.Index], err)
//		}
//	}
func MapIndexed[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Indexed[Out], error] {
	results := executor.Map(ctx, ex, fn, inputs, false)
	return func(yield func(Indexed[Out], error) bool) {
		results(func(index int64, out Out, err error) bool { return yield(Indexed[Out]{index, out}, err) })
	}
}

// values returns the results of a Map without their indexes.
func values[Out any](results func(yield func(index int64, out Out, err error) bool)) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		results(func(_ int64, out Out, err error) bool { return yield(out, err) })
	}
}
