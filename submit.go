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

// Go runs fn on a new goroutine and returns its future. If fn panics, the
// future has the panic as its error. A panic in a plain goroutine would end
// the program. For many tasks, use an executor, which limits their number.
func Go[Out any](ctx context.Context, fn func(context.Context) (Out, error)) *Future[Out] {
	return (*Future[Out])(executor.Go(ctx, fn))
}

// A Future is the outcome of a task that may still be waiting or running. It
// is made by [Submit] or [Go], settles exactly once, and may be used from any
// number of goroutines.
type Future[T any] executor.Future[T]

// State is the state of a task. Its String method returns it as a word, such as
// "running".
type State = executor.State

// The states of a future. Pending leads to Running or Canceled, Running to
// Finished.
const (
	Pending  = executor.Pending  // the task waits for a worker
	Running  = executor.Running  // a worker has started the task
	Finished = executor.Finished // the function of the task returned, panicked or ended its goroutine
	Canceled = executor.Canceled // the task was canceled before it started
)

func (f *Future[T]) inner() *executor.Future[T] { return (*executor.Future[T])(f) }

func (f *Future[T]) task() *executor.Task { return f.inner().Task() }

// failed reports whether the task has an error. The task must have settled.
func (f *Future[T]) failed() bool {
	_, err := f.Result(context.Background()) // does not block, because the task has settled
	return err != nil
}

// Result waits until the task has settled, and returns its value or its error.
// If ctx ends first, Result returns [context.Cause] of ctx. The task continues,
// and Result may be called again. If the task has settled already, Result
// returns the outcome even if ctx has ended. State says whether the task has
// settled: if not, the error says why the wait has ended.
//
// In a task, with the task's own context or one derived from it, Result cannot
// deadlock on a full pool. The package comment explains this, and when Result
// may return later than ctx ends.
//
// The return of the task's function synchronizes before the return of Result.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	return f.inner().Result(ctx)
}

// Done returns a channel that is closed when the task has settled, for use in a
// select. The executor does not recognize a wait on this channel, so in a task
// use Result, which cannot deadlock.
func (f *Future[T]) Done() <-chan struct{} {
	return f.inner().Done()
}

// State returns the state of the task at this moment.
func (f *Future[T]) State() State {
	return f.inner().State()
}

// Input returns the name of the task's function and the label that [WithLabel]
// has given to the task. It returns nil for a task without a label. A package
// that makes its own errors of tasks gives them a method TaskInput that returns
// this Input. Then [InputOf] finds the label in such an error.
func (f *Future[T]) Input() *Input {
	return f.inner().Input()
}

// Cancel cancels the task, and never blocks. A task that has not started never
// starts: its error wraps [ErrCanceled], and this and all later calls of Cancel
// return true. If the task is running, its context is canceled with the cause
// ErrCanceled, and Cancel returns false: the outcome is what the function then
// returns. If the task has finished, Cancel does nothing and returns false.
func (f *Future[T]) Cancel() bool {
	return f.inner().Cancel()
}

// OnDone calls fn once, when the task has settled. If a worker of this
// process ran the task, fn runs on the goroutine of that worker, otherwise
// on a separate goroutine. If the task has settled already, OnDone calls fn
// at once, on the goroutine of the caller. When a task settles, waiting
// goroutines are woken first. Then the functions are called, in the order in
// which they were added. OnDone holds no lock while it calls fn. If fn
// panics, the panic is logged with package slog, and the other functions are
// called. If fn does not return, the goroutine that calls fn is blocked. In
// a goroutine pool, this may be the goroutine of a worker. Then the worker
// runs no other tasks.
//
// fn receives a context with the values of ctx, which does not end when ctx
// ends. This context identifies the worker on whose goroutine fn runs. So fn
// may submit and wait with this context, as a task may. Use the context in fn
// only, not in goroutines that fn starts. OnDone panics if ctx or fn is nil.
func (f *Future[T]) OnDone(ctx context.Context, fn func(ctx context.Context, f *Future[T])) {
	if fn == nil {
		panic("concert: OnDone with a nil function")
	}
	f.inner().OnDone(ctx, func(ctx context.Context, _ *executor.Future[T]) { fn(ctx, f) })
}

// String returns the name of the function and the state, as in "thumbnail
// (running)".
func (f *Future[T]) String() string {
	return f.inner().String()
}
