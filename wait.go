package concert

import (
	"context"
	"errors"
	"iter"
	"sync"
)

// When tells [Wait] how long to wait.
type When int

const (
	// AllCompleted waits until every task has settled.
	AllCompleted When = iota
	// FirstCompleted waits until one task has settled.
	FirstCompleted
	// FirstError waits until one task has settled with an error, which includes
	// a cancellation, or until all have settled.
	FirstError
)

// AsCompleted returns the futures in the order in which their tasks settle,
// beginning with those that have settled already. A duplicate future is
// returned once. The sequence ends after the last future. It ends early if ctx
// ends while no further task has settled; then ctx.Err() is not nil. It also
// ends early if a task waits for itself; then Result returns [ErrDeadlock].
// Leaving the loop early leaves nothing behind: the tasks continue, and their
// futures can be used again.
//
// Like [Future.Result], it cannot deadlock in a task if it is given the task's
// context.
func AsCompleted[T any](ctx context.Context, futures ...*Future[T]) iter.Seq[*Future[T]] {
	return func(yield func(*Future[T]) bool) {
		a := newArrivals(ctx, futures)
		defer a.forget()
		for range len(a.futures) {
			i, err := a.next(ctx)
			if err != nil || !yield(a.futures[i]) {
				return
			}
		}
	}
}

// Wait waits as when says, or until ctx ends. It returns the futures of the
// tasks that have settled by then, and the other futures, both in the order
// given. A duplicate future is returned once.
//
// Like [Future.Result], it cannot deadlock in a task if it is given the task's
// context.
func Wait[T any](ctx context.Context, when When, futures ...*Future[T]) (done, notDone []*Future[T]) {
	a := newArrivals(ctx, futures)
	defer a.forget()
	for range len(a.futures) {
		i, err := a.next(ctx)
		if err != nil || when == FirstCompleted || when == FirstError && a.futures[i].err != nil {
			break
		}
	}
	for _, f := range a.futures {
		if f.task.settled() {
			done = append(done, f)
		} else {
			notDone = append(notDone, f)
		}
	}
	return done, notDone
}

// Gather waits until every task has settled. It returns their values in the
// order given, and their errors joined by [errors.Join]. If ctx ends first, its
// cause is among the errors, and the values of unsettled tasks are zero. A task
// that fails does not cancel the others; to cancel them, cancel their common
// context.
//
// Like [Future.Result], it cannot deadlock in a task if it is given the task's
// context.
func Gather[T any](ctx context.Context, futures ...*Future[T]) ([]T, error) {
	// Waiting for the last first: when it has settled, most others have, and
	// the waiter is woken once instead of once a task.
	var unfinished error
	for i := len(futures) - 1; i >= 0 && unfinished == nil; i-- {
		unfinished = futures[i].task.wait(ctx)
	}
	values := make([]T, len(futures))
	var errs []error
	for i, f := range futures {
		if !f.task.settled() {
			continue
		}
		values[i] = f.value
		if f.err != nil {
			errs = append(errs, f.err)
		}
	}
	if unfinished != nil {
		errs = append(errs, unfinished)
	}
	return values, errors.Join(errs...)
}

// arrivals collects futures as they settle.
type arrivals[T any] struct {
	futures  []*Future[T] // without duplicates
	watchers []watcher    // one each; forgotten ones are not in any task's list
	stop     func()       // ends that tasks expire

	// inbox has the futures, by index, that settled and were not taken.
	inbox inbox
}

// inbox is a queue of numbers that never blocks the sender.
type inbox struct {
	mu      sync.Mutex
	numbers []int // guarded by mu
	more    signal
}

type arrival struct {
	to     *inbox
	number int
}

func (a arrival) tell(*Task) {
	a.to.mu.Lock()
	a.to.numbers = append(a.to.numbers, a.number)
	a.to.mu.Unlock()
	a.to.more.tell(nil)
}

func newArrivals[T any](ctx context.Context, futures []*Future[T]) *arrivals[T] {
	a := &arrivals[T]{inbox: inbox{more: make(signal, 1)}}
	seen := make(map[*Future[T]]struct{}, len(futures))
	for _, f := range futures {
		if _, again := seen[f]; !again {
			seen[f] = struct{}{}
			a.futures = append(a.futures, f)
		}
	}
	a.watchers = make([]watcher, len(a.futures))
	tasks := make([]*Task, len(a.futures))
	for i, f := range a.futures {
		tasks[i] = &f.task
		here := arrival{&a.inbox, i}
		a.watchers[i].tell = here
		if !f.task.watch(&a.watchers[i]) {
			here.tell(nil)
		}
	}
	a.stop = expireLater(ctx, tasks)
	return a
}

// next returns the number of the next future that settled.
func (a *arrivals[T]) next(ctx context.Context) (int, error) {
	for {
		a.inbox.mu.Lock()
		if len(a.inbox.numbers) > 0 {
			i := a.inbox.numbers[0]
			a.inbox.numbers = a.inbox.numbers[1:]
			a.inbox.mu.Unlock()
			return i, nil
		}
		a.inbox.mu.Unlock()
		if err := a.wait(ctx); err != nil {
			return 0, err
		}
	}
}

// wait blocks until there may be something in the inbox.
func (a *arrivals[T]) wait(ctx context.Context) error {
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return a.waitUnlocked(ctx) })
	}
	return a.waitUnlocked(ctx)
}

func (a *arrivals[T]) waitUnlocked(ctx context.Context) error {
	s, self := standing(ctx)
	if s == nil {
		return waitFor(ctx, a.inbox.more)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	on := make([]*Task, 0, len(a.futures))
	for _, f := range a.futures {
		if f.task.settled() {
			continue
		}
		on = append(on, &f.task)
	}
	return s.block(ctx, self, a.inbox.more, on, nil)
}

// forget takes back the watchers of futures that have not settled.
func (a *arrivals[T]) forget() {
	a.stop()
	for i, f := range a.futures {
		f.task.unwatch(&a.watchers[i])
	}
}
