package concert

import (
	"context"

	"concert/executor"
)

// Submit hands fn(ctx, arg) to the executor and returns its future. It blocks
// while the executor's queue is full, until there is room or ctx ends. Any
// failure is in the future, which settles in any case.
//
// ctx is also the parent of the context that fn is given, for as long as the
// task lives: its values reach fn, and its end cancels the task. The context
// of fn ends when fn returns. In another process, fn has only the deadline and
// the end of ctx, without values and without a cause.
//
// An executor whose workers share memory with the caller passes arg and the
// result as they are; any other passes copies and needs a function that was
// registered, see [Register].
//
// Submit panics if ctx, ex or fn is nil, or if ex is a nil pointer to a pool of
// this module.
func Submit[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), arg In) *Future[Out] {
	return (*Future[Out])(executor.Submit(ctx, ex, fn, arg))
}

// TrySubmit is [Submit] for callers that drop a task instead of waiting: it
// does not wait for room in the executor's queue. It returns nil and false if
// there is no room at once; then fn is never called. Otherwise, it returns the
// future of the task and true. Any other failure is in the future: if the
// executor is closed, for example, TrySubmit returns true, and the error of the
// future is [ErrClosed].
//
// While other callers wait in Submit, there is no room: TrySubmit does not
// overtake them.
//
// The executor's [Observer] sees a dropped task as submitted, and then as
// finished with an error that wraps [ErrCanceled].
//
// TrySubmit panics if ctx, ex or fn is nil, or if ex is a nil pointer to a pool
// of this module.
func TrySubmit[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), arg In) (*Future[Out], bool) {
	f, ok := executor.TrySubmit(ctx, ex, fn, arg)
	return (*Future[Out])(f), ok
}

// Go runs fn on a new goroutine and returns its future. Nothing that fn does is
// lost: a panic, which would end the program in a plain goroutine, becomes the
// future's error. For many tasks, use an executor, which limits their number.
func Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return (*Future[Out])(executor.Go(ctx, fn))
}
