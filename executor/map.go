package executor

import (
	"context"
	"iter"
)

// Map returns the results of concert.Map, or of concert.MapUnordered if not
// ordered: each with the index of its input. An error that concerns the whole
// Map has the index -1.
func Map[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In], ordered bool) func(yield func(index int64, out Out, err error) bool) {
	if ctx == nil || ex == nil || fn == nil || inputs == nil {
		panic(nilArgument("Map", ctx, ex, "function or inputs"))
	}
	return func(yield func(int64, Out, error) bool) {
		m := newMapRun(ctx, ex, fn, ordered)
		go m.feed(inputs)
		defer m.stop()
		m.consume(yield)
	}
}
