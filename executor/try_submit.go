package executor

import (
	"context"
	"errors"
	"time"
)

// TrySubmit implements concert.TrySubmit.
func TrySubmit[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), arg In) (*Future[Out], bool) {
	if ctx == nil || ex == nil || fn == nil {
		panic(nilArgument("TrySubmit", ctx, ex, "function"))
	}
	c := newCall(ctx, fn, arg)
	err := execute(noWaitContext{ctx}, ex, &c.future.task)
	if err == nil {
		return &c.future, true
	}
	if isNoRoom(err) {
		// Observers have received TaskSubmitted for this task. They must
		// receive TaskFinished, too.
		c.future.task.refuse(&neverStarted{errNoRoom})
		return nil, false
	}
	c.future.task.refuse(err)
	return &c.future, true
}

// noWaitContext is noWait with the values of another context. It does not
// have the worker and the lock of the submitter, because Execute does not
// wait with it.
type noWaitContext struct{ values context.Context }

// Deadline returns no deadline.
func (c noWaitContext) Deadline() (time.Time, bool) { return noWait.Deadline() }

// Done returns a closed channel.
func (c noWaitContext) Done() <-chan struct{} { return noWait.Done() }

// Err returns context.Canceled.
func (c noWaitContext) Err() error { return noWait.Err() }

// Value returns a value of the other context, with two exceptions. For the
// keys of the task, of its number and of its lock, Value returns nil. For
// the key by which context.Cause finds the cause, Value returns the value of
// noWait, whose cause is errNoRoom.
func (c noWaitContext) Value(key any) any {
	switch key {
	case workerKey{}, ownKey{}, numberKey{}, releaserKey{}:
		return nil
	}
	if v := noWait.Value(key); v != nil {
		return v
	}
	return c.values.Value(key)
}

// errNoRoom is the cause with which noWait has ended.
var errNoRoom = errors.New("the queue of the executor is full")

// noWait is a context that has already ended. An Execute that gets noWait
// does not wait for room in the queue.
var noWait = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errNoRoom)
	return ctx
}()

// isNoRoom reports whether an executor has refused a task only because the
// queue is full. The error may come from the program, for example from an
// initializer. If its methods fail, isNoRoom reports false.
func isNoRoom(err error) bool {
	if sameError(err, errNoRoom) {
		return true
	}
	switch err.(type) {
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		is, _ := callMethod(newErrorMethods(), func() bool { return errors.Is(err, errNoRoom) })
		return is
	}
	return false
}
