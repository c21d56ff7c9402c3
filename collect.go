package concert

import (
	"context"
	"iter"
)

// Collect applies fn to every input on the executor's workers and returns all
// results in the order of the inputs. If a call fails, Collect cancels the
// other calls and returns the error, without results. If several calls fail,
// the error is the one that Collect receives first, whatever the order of the
// inputs. It is for programs that need either all results or none, as with
// golang.org/x/sync/errgroup. To handle errors one by one, use [Map].
//
// An error that fn returns in this process is passed on unchanged, so it does
// not tell which input failed, and [InputOf] returns nil for it. If you need
// the input, wrap the error in fn, or use [MapIndexed].
//
// After the first error, Collect takes no more inputs, and cancels the context
// of the running calls. It returns when they have returned. So a call that
// ignores its context delays the return.
//
// When ctx ends, Collect returns an error as well: the cause of ctx, or the
// error of a call that was canceled with it. If the executor is closed or shut
// down before all inputs have been taken, the error is [ErrClosed]. A panic in
// fn is a [*PanicError]. A panic in inputs is raised again, as a *PanicError,
// unless a call fails before.
//
// Inputs are taken as in [Map]: only as far ahead of the results as necessary,
// on a goroutine of their own. So memory grows with the number of results, and
// not with the number of inputs that wait for a worker. Without inputs, the
// slice is nil.
//
// Like [Future.Result], Collect cannot deadlock in a task if it is given the
// task's context. Collect panics if ctx, ex, fn or inputs is nil.
func Collect[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq[In]) ([]Out, error) {
	var results []Out
	for got, err := range MapIndexed(ctx, ex, fn, inputs) {
		if err != nil {
			return nil, err
		}
		if missing := int(got.Index) + 1 - len(results); missing > 0 {
			results = append(results, make([]Out, missing)...)
		}
		results[got.Index] = got.Value
	}
	return results, nil
}
