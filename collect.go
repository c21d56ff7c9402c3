package concert

import (
	"context"
	"iter"
)

// Collect applies fn to every input on the executor's workers and returns all
// results in the order of the inputs. If a call fails, Collect cancels the
// other calls and returns the error, without results. If several calls fail,
// the error is the one that Collect receives first, whatever the order of the
// inputs. Collect is for programs that need either all results or none, as with
// golang.org/x/sync/errgroup. To handle errors one by one, use [Map].
//
// An error that fn returns in this process is passed on unchanged, so the error
// does not say which input failed, and [InputOf] returns nil for it. If you
// need the input, let fn wrap its error, or use [MapIndexed].
//
// After the first error, Collect takes no more inputs, and cancels the context
// of the running calls. Collect returns when the running calls have returned.
// So a call that ignores its context delays the return of Collect.
//
// When ctx ends, Collect also returns an error: either the cause of ctx, or the
// error of a call that was canceled because ctx ended. If the executor is
// closed or shut down before all inputs have been taken, the error is
// [ErrClosed]. A panic in fn is a [*PanicError]. A panic in inputs is raised
// again, as a *PanicError, unless a call has failed before.
//
// As in [Map], a separate goroutine takes the inputs, and no more of them
// ahead of the results than necessary. So Collect needs memory for all
// results, but only for a bounded number of inputs. If there are no inputs,
// Collect returns a nil slice.
//
// Like [Future.Result], Collect cannot deadlock in a task if ctx is the
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
