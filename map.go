package concert

import (
	"context"
	"iter"
)

// Map applies fn to every input on the executor's workers and returns the
// results in the order of the inputs, each as a value or an error. An error
// does not end the sequence: leave the loop to stop at the first one.
//
// It is lazy on both sides. Inputs are taken only as far ahead of the results
// as keeps the workers busy (a bounded number, which depends on the
// executor's width and on how quick fn is), so inputs may be endless and the
// results together larger than memory. Results do not wait for a slow input.
//
// Leaving the loop early cancels the context of the calls in flight, and the
// loop statement ends when they have returned. When ctx ends, the calls in
// flight are cancelled as well, and the sequence ends with a last error, the
// cause; when the executor is closed or shut down under it, with [ErrClosed]. A panic in fn
// is that item's [*PanicError]; one in inputs is raised again, as a
// *PanicError, in the loop, after the results of the inputs before it.
//
// The inputs are iterated on a goroutine of their own, which has ended when
// the loop ends; only inputs that block when the loop is left early, and go
// on to block for a tenth of a second, are left behind, to end at their next
// value.
//
// A call costs far less than a Submit, since workers claim inputs one after
// the other without a future each. Each range over the sequence runs
// everything anew. Like [Future.Result] it cannot deadlock in a task, given
// the task's context. Map panics if ctx, ex, fn or inputs is nil.
func Map[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return withoutIndexes(mapSeq(ctx, ex, fn, inputs, true))
}

// MapUnordered is [Map] with the results in the order in which the calls
// finish, so that a slow one holds nothing up. Where the result does not say
// which input it is of, [MapIndexed] does.
func MapUnordered[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Out, error] {
	return withoutIndexes(mapSeq(ctx, ex, fn, inputs, false))
}

// Indexed is a result that says which input it is of.
type Indexed[Out any] struct {
	// Index is which input it is of, from 0 up, and -1 with the last error of
	// the sequence, if that is of the whole Map.
	Index int64
	// Value is the result; zero with an error.
	Value Out
}

// MapIndexed is [MapUnordered] whose results, and errors, come with the index of
// their input.
//
//	for got, err := range concert.MapIndexed(ctx, ex, thumbnail, slices.Values(paths)) {
//		if err != nil {
//			log.Printf("%s: %v", paths[got.Index], err)
//		}
//	}
func MapIndexed[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) iter.Seq2[Indexed[Out], error] {
	return mapSeq(ctx, ex, fn, inputs, false)
}

// withoutIndexes is a sequence without the indexes.
func withoutIndexes[Out any](results iter.Seq2[Indexed[Out], error]) iter.Seq2[Out, error] {
	return func(yield func(Out, error) bool) {
		for r, err := range results {
			if !yield(r.Value, err) {
				return
			}
		}
	}
}

func mapSeq[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In], ordered bool) iter.Seq2[Indexed[Out], error] {
	if ctx == nil || ex == nil || fn == nil || inputs == nil {
		panic(nilArgument("Map", ctx, ex, "function or inputs"))
	}
	return func(yield func(Indexed[Out], error) bool) {
		m := newMapping(ctx, ex, fn, ordered)
		go m.feed(inputs)
		defer m.stop()
		m.consume(func(index int64, out Out, err error) bool { return yield(Indexed[Out]{index, out}, err) })
	}
}
