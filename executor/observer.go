package executor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// guardedObserver calls the observer of an executor. A panic of the observer
// does not reach the caller. callIsolated also returns if the observer does not
// return.
type guardedObserver struct {
	calls
	observer Observer
	failed   sync.Once    // used to log only the first failure
	stuck    atomic.Int32 // number of calls by callIsolated that did not return in time, and still run
	dropped  atomic.Int64 // number of events that were not delivered since stuck was 0
}

// observerTime is the maximum time that callIsolated waits for the observer.
const observerTime = time.Second

func newGuardedObserver(o Observer) *guardedObserver {
	return &guardedObserver{observer: o, calls: calls{idle: make(chan struct{})}}
}

// call calls the observer on this goroutine, which belongs to the submitter or
// to a task. It logs the first failure. If the observer calls runtime.Goexit,
// this goroutine ends: call cannot prevent this, and only logs it.
func (g *guardedObserver) call(e Event) {
	if !g.begin() {
		return
	}
	returned := false
	defer func() {
		g.leave()
		if returned {
			return
		}
		err := ErrGoexit
		if v := recover(); v != nil {
			err = NewPanicError(v)
		}
		g.failed.Do(func() {
			logApart("concert: an Observer failed; it is still called, and further failures are not logged", "event", e.Kind.String(), "of", e.Name, "error", err)
		})
	}()
	g.observer(e)
	returned = true
}

// callIsolated calls the observer on a separate goroutine. It is for events
// on goroutines that the executor needs. Steps:
//
//  1. It waits for the observer, so that the events of a task stay in order.
//  2. If the observer does not return within observerTime, the call is stuck,
//     and callIsolated returns.
//  3. While a call is stuck, callIsolated drops events. Otherwise each event
//     would wait for the observer, and all tasks of the executor would wait as
//     well.
//  4. When the last stuck call returns, the number of dropped events is logged.
func (g *guardedObserver) callIsolated(e Event) {
	if g.over() {
		return
	}
	if g.stuck.Load() > 0 {
		g.dropped.Add(1)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.call(e)
	}()
	select {
	case <-done:
		return
	case <-time.After(observerTime):
	}
	if g.stuck.Add(1) == 1 {
		logApart("concert: an Observer does not return; until it does, the executor drops events", "event", e.Kind.String(), "of", e.Name, "after", observerTime)
	}
	go func() {
		<-done
		if g.stuck.Add(-1) == 0 {
			logApart("concert: an Observer has returned", "event", e.Kind.String(), "of", e.Name, "dropped events", g.dropped.Swap(0))
		}
	}()
}

// logApart logs an error on another goroutine, because the handler of slog may
// be code of the program.
func logApart(text string, args ...any) {
	go guarded(func() { slog.Error(text, args...) })
}

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
	// Context is the context that was given to Submit, Go or Map, or one that
	// replaces it. An observer can read its values. Its methods may be code of
	// the program.
	Context context.Context
}

// EventKind is the kind of an event.
type EventKind uint8

// A task is submitted once and finished once. Unless it is canceled before it
// starts, it is started once in between, and reports progress any number of
// times.
const (
	TaskSubmitted EventKind = iota + 1 // an executor has accepted the task
	TaskStarted                        // a worker has begun to run the task
	TaskProgress                       // the task called Progress
	TaskFinished                       // the task has settled; waiting goroutines have not been woken yet
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

// Progress implements concert.Progress.
func Progress(ctx context.Context, done, total int64) {
	n, ok := ctx.Value(numberKey{}).(numbered)
	if !ok {
		return
	}
	n.progress(done, total)
}

// WithProgress returns a context for [Invoke], in a worker of another process.
// report is called with the numbers that the task passes to Progress.
func WithProgress(ctx context.Context, report func(done, total int64)) context.Context {
	return context.WithValue(ctx, numberKey{}, reporter(report))
}

type reporter func(done, total int64)

func (r reporter) progress(done, total int64) { r(done, total) }

// numberKey is a context key: its value has the type numbered, and Progress
// reports to this value.
type numberKey struct{}

type numbered interface{ progress(done, total int64) }
