package concert

import (
	"context"

	"concert/executor"
)

// Submit hands fn(ctx, arg) to the executor and returns its future. It blocks
// while the executor's queue is full, until there is room or ctx ends. If
// anything fails, the future has the error. The future settles in every case.
//
// ctx is also the parent of the context with which fn is called. So fn can read
// the values of ctx, and the end of ctx cancels the task. The context of fn
// ends when fn returns. If fn runs in another process, its context has the
// deadline of ctx, and ends when ctx ends, but it has no values and no cause of
// ctx.
//
// An executor whose workers share memory with the caller passes arg and the
// result as they are. Any other executor passes copies, and needs a registered
// function, see [Register].
//
// Submit panics if ctx, ex or fn is nil, or if ex is a nil pointer to a pool of
// this module.
func Submit[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), arg In) *Future[Out] {
	return (*Future[Out])(executor.Submit(ctx, ex, fn, arg))
}

// TrySubmit is [Submit] for callers that drop a task instead of waiting: it
// does not wait for room in the executor's queue. It returns nil and false if
// there is no room at once; then fn is never called. Otherwise, it returns the
// future of the task and true. After any other failure, the future has the
// error: if the executor is closed, for example, TrySubmit returns true, and
// the error of the future is [ErrClosed].
//
// TrySubmit does not overtake other callers that wait in Submit: while they
// wait, there is no room for its task.
//
// For a dropped task, the executor's [Observer] receives TaskSubmitted, and
// then TaskFinished with an error that wraps [ErrCanceled].
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
