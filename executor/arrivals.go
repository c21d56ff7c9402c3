package executor

import (
	"context"
	"sync"
)

// Arrivals returns the indexes of tasks in the order in which the tasks settle.
// Only one goroutine may use it:
//
//	a := executor.NewArrivals(ctx, tasks)
//	defer a.Stop()
//	for range tasks {
//		i, err := a.Next(ctx)
//		...
//	}
type Arrivals struct {
	tasks    []*Task
	watchers []watcher // watchers[i] watches tasks[i]
	stop     func()    // removes the functions that expireLater has registered
	inbox    inbox     // the indexes of settled tasks that Next has not returned yet
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

func (a arrival) notify(*Task) {
	a.to.mu.Lock()
	a.to.numbers = append(a.to.numbers, a.number)
	a.to.mu.Unlock()
	a.to.more.notify(nil)
}

// NewArrivals returns the Arrivals of the tasks, which must be distinct. Tasks
// that have settled already come first. Until Stop, a queued task settles as
// soon as the context of its submitter ends. ctx is the context of the caller.
func NewArrivals(ctx context.Context, tasks []*Task) *Arrivals {
	a := &Arrivals{tasks: tasks, watchers: make([]watcher, len(tasks)), inbox: inbox{more: make(signal, 1)}}
	for i, t := range tasks {
		here := arrival{&a.inbox, i}
		a.watchers[i].to = here
		if !t.watch(&a.watchers[i]) {
			here.notify(nil)
		}
	}
	a.stop = expireLater(ctx, tasks)
	return a
}

// Next blocks until another task has settled, and returns its index. If ctx
// ends first, the error is the cause of ctx. In a task, Next takes part in the
// search for deadlocks like [Task.Wait]. Call Next at most once for each task.
func (a *Arrivals) Next(ctx context.Context) (int, error) {
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

// wait blocks until the inbox may contain an index. It returns the cause of ctx
// if ctx ends first, and ErrDeadlock if the wait could never end.
func (a *Arrivals) wait(ctx context.Context) error {
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return a.waitUnlocked(ctx) })
	}
	return a.waitUnlocked(ctx)
}

func (a *Arrivals) waitUnlocked(ctx context.Context) error {
	s, self := carrierOf(ctx)
	if s == nil {
		return waitFor(ctx, a.inbox.more)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	on := make([]*Task, 0, len(a.tasks))
	for _, t := range a.tasks {
		if !t.Settled() {
			on = append(on, t)
		}
	}
	return s.block(ctx, self, a.inbox.more, on, nil)
}

// Stop releases the resources of the Arrivals. The tasks continue.
func (a *Arrivals) Stop() {
	a.stop()
	for i, t := range a.tasks {
		t.unwatch(&a.watchers[i])
	}
}
