package executor

import (
	"context"
	"sync/atomic"
	"time"
)

// An Observer is called for each step of each task of an executor. See
// concert.Observer.
type Observer func(Event)

// Event is one step in the life of a task.
type Event struct {
	Kind EventKind
	// Task is the number of the task, from 1 up, unique in the process. Each
	// item of a Map has a number of its own.
	Task uint64
	// Name is the name of the task's function, as [Task.Name].
	Name string
	// Input has the index of the input in its Map, and the label of the task.
	// It is nil for a task of Submit or Go without a label.
	Input *Input
	// Worker is the worker's number, from 0 up. It is -1 in TaskSubmitted, and
	// in TaskFinished for a task that never started.
	Worker int
	// Time is the time of the step.
	Time time.Time
	// Done and Total are the arguments of [Progress] in TaskProgress, and zero
	// in other kinds.
	Done, Total int64
	// Err is the task's error, in TaskFinished.
	Err error
}

// EventKind is the kind of an event.
type EventKind uint8

// A task is submitted once and finished once. Unless it is canceled before it
// starts, it is started once in between, and reports progress any number of
// times.
const (
	TaskSubmitted EventKind = iota + 1 // an executor has accepted it
	TaskStarted                        // a worker has begun to run it
	TaskProgress                       // it called Progress
	TaskFinished                       // it has settled; waiting goroutines have not been woken yet
)

// String returns the kind as a word, in lower case.
func (k EventKind) String() string {
	switch k {
	case TaskSubmitted:
		return "submitted"
	case TaskStarted:
		return "started"
	case TaskProgress:
		return "progress"
	case TaskFinished:
		return "finished"
	}
	return "unknown event"
}

// Progress is concert.Progress, for that package.
func Progress(ctx context.Context, done, total int64) {
	n, ok := ctx.Value(numberKey{}).(numbered)
	if !ok {
		return
	}
	n.progress(done, total)
}

// WithProgress returns a context for [Invoke], in a worker of another process:
// report receives what the function passes to Progress.
func WithProgress(ctx context.Context, report func(done, total int64)) context.Context {
	return context.WithValue(ctx, numberKey{}, reporter(report))
}

type reporter func(done, total int64)

func (r reporter) progress(done, total int64) { r(done, total) }

// numberKey is the context key under which a task's context gives the task,
// or the item of a Map, as something that is observed.
type numberKey struct{}

type numbered interface{ progress(done, total int64) }

var lastNumber atomic.Uint64

// number gives the task the next number.
func (t *Task) number() {
	n := lastNumber.Add(1) << idShift
	for {
		w := t.status.Load()
		if t.status.CompareAndSwap(w, n|w&(1<<idShift-1)) {
			return
		}
	}
}

// observer returns the observer of the executor that has the task, and the
// number of the worker, -1 if none runs it.
func (t *Task) observer() (*guardedObserver, int) {
	if t.group == nil || t.group.observer == nil {
		return nil, -1
	}
	if s := t.carrier.Load(); s != nil {
		return t.group.observer, s.worker.id
	}
	return t.group.observer, -1
}

// observe tells the observer, if there is one, about a step of the task.
func (t *Task) observe(kind EventKind, err error) {
	if o, id := t.observer(); o != nil {
		o.call(t.event(kind, id, err))
	}
}

// observeOn is observe on a goroutine that is no task's, for a task on a worker
// elsewhere, if remote is not -1.
func (t *Task) observeOn(remote int, kind EventKind, err error) {
	if o, id := t.observer(); o != nil {
		o.callIsolated(t.event(kind, max(id, remote), err))
	}
}

func (t *Task) event(kind EventKind, worker int, err error) Event {
	return Event{Kind: kind, Task: t.status.Load() >> idShift, Name: t.Name(), Input: t.input(), Worker: worker, Time: time.Now(), Err: err}
}

func (t *Task) progress(done, total int64) {
	if o, id := t.observer(); o != nil && t.state() == running {
		e := t.event(TaskProgress, id, nil)
		e.Done, e.Total = done, total
		o.call(e)
	}
}
