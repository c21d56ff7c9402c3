package concert

import (
	"context"
	"errors"
	"iter"

	"concert/executor"
)

// When determines how long [Wait] waits.
type When int

const (
	// AllCompleted waits until every task has settled.
	AllCompleted When = iota
	// FirstCompleted waits until one task has settled.
	FirstCompleted
	// FirstError waits until one task has settled with an error, or until all
	// have settled. A cancellation is an error, too.
	FirstError
)

// AsCompleted returns the futures in the order in which their tasks settle,
// beginning with those that have settled already. A duplicate future is
// returned once. The sequence ends after the last future. The sequence ends
// early in two cases. If ctx ends while no further task has settled,
// ctx.Err() is not nil after the loop. If a task waits for itself, Result of
// the remaining futures returns [ErrDeadlock]. Leaving the loop early leaks
// no resources. The tasks continue, and their futures can be used again.
//
// Like [Future.Result], AsCompleted cannot deadlock in a task if ctx is the
// task's context.
func AsCompleted[T any](ctx context.Context, futures ...*Future[T]) iter.Seq[*Future[T]] {
	return func(yield func(*Future[T]) bool) {
		futures := distinct(futures)
		a := executor.NewArrivals(ctx, tasksOf(futures))
		defer a.Stop()
		for range futures {
			i, err := a.Next(ctx)
			if err != nil || !yield(futures[i]) {
				return
			}
		}
	}
}

// Wait waits until the tasks have settled, or until ctx ends. The parameter
// when says whether Wait waits for all tasks, for the first one, or for the
// first error. The result done has the futures of the settled tasks, and
// notDone has the other futures. Both slices are in the order of the
// arguments. A duplicate future is returned once.
//
// Like [Future.Result], Wait cannot deadlock in a task if ctx is the task's
// context.
func Wait[T any](ctx context.Context, when When, futures ...*Future[T]) (done, notDone []*Future[T]) {
	futures = distinct(futures)
	a := executor.NewArrivals(ctx, tasksOf(futures))
	defer a.Stop()
	for range futures {
		i, err := a.Next(ctx)
		if err != nil || when == FirstCompleted || when == FirstError && futures[i].failed() {
			break
		}
	}
	for _, f := range futures {
		if f.task().Settled() {
			done = append(done, f)
		} else {
			notDone = append(notDone, f)
		}
	}
	return done, notDone
}

// Gather waits until every task has settled. It returns the values of the tasks
// in the order of the futures, and the errors of the tasks joined by
// [errors.Join]. If ctx ends first, the returned error also wraps the cause of
// ctx, and the values of unsettled tasks are zero. A task that fails does not
// cancel the others; to cancel them, cancel their common context.
//
// Like [Future.Result], Gather cannot deadlock in a task if ctx is the
// task's context.
func Gather[T any](ctx context.Context, futures ...*Future[T]) ([]T, error) {
	// Wait for the last future first: when it has settled, most others have
	// settled, too. So this goroutine is usually woken once, instead of once
	// for each task.
	var unfinished error
	for i := len(futures) - 1; i >= 0 && unfinished == nil; i-- {
		unfinished = futures[i].task().Wait(ctx)
	}
	values := make([]T, len(futures))
	var errs []error
	for i, f := range futures {
		if !f.task().Settled() {
			continue
		}
		var err error
		if values[i], err = f.Result(ctx); err != nil { // does not block, because the task has settled
			errs = append(errs, err)
		}
	}
	if unfinished != nil {
		errs = append(errs, unfinished)
	}
	return values, errors.Join(errs...)
}

// distinct returns the futures without duplicates.
func distinct[T any](futures []*Future[T]) []*Future[T] {
	seen := make(map[*Future[T]]struct{}, len(futures))
	list := make([]*Future[T], 0, len(futures))
	for _, f := range futures {
		if _, again := seen[f]; !again {
			seen[f] = struct{}{}
			list = append(list, f)
		}
	}
	return list
}

// tasksOf returns the tasks of futures.
func tasksOf[T any](futures []*Future[T]) []*executor.Task {
	tasks := make([]*executor.Task, len(futures))
	for i, f := range futures {
		tasks[i] = f.task()
	}
	return tasks
}
