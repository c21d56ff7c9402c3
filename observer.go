package concert

import (
	"context"

	"concert/executor"
)

// An Observer is a function that an executor calls with an event for each
// step of each task. The executor's options contain it, or the method Watch
// adds it to a running executor. It is called on the goroutines on which the
// steps happen, and so by many goroutines concurrently. It must be safe for
// concurrent use, must return soon, and must not wait for a task. The events
// of one task come in the order of the constants of [EventKind].
//
// If an Observer panics, the executor recovers the panic. It logs only the
// first panic, with package slog. If an Observer calls [runtime.Goexit], as
// testing.T.FailNow does, on the goroutine of a task or of the submitter,
// that goroutine ends. A panic or Goexit does not change the outcome of a
// task, with one exception: if Goexit ends the goroutine of a task that is
// about to begin, the error of the task is [ErrGoexit].
//
// An Observer that does not return blocks the goroutine of the task or the
// submitter that called it. Events of tasks in other processes, and of canceled
// tasks, happen on goroutines that other tasks need. Such a goroutine waits for
// the Observer for at most a second. If the Observer has not returned by then,
// the executor logs this, and drops the events of such goroutines until the
// Observer returns. Then the executor logs the number of dropped events.
//
// The method Watch of an executor returns a function, stop, that removes the
// Observer again. When stop returns, no call of the Observer will begin.
// Before it returns, stop waits at most a second for the running calls. If
// the Observer itself calls stop, stop waits for the whole second. An
// Observer that Watch has added receives the events that happen from then
// on. For a task that was submitted before, the first event is TaskStarted.
// For a task that had started, there are no events, with one exception: if
// the executor had another Observer when the task started, the new Observer
// receives the remaining events.
type Observer = executor.Observer

// Event is one step in the life of a task. It has the fields
//
//   - Kind, the kind of the step;
//   - Task, the number of the task, from 1 up, unique in the process; each item
//     of a Map has a number of its own;
//   - Name, the name of the task's function;
//   - Input, the index of the input in its Map, and the label of the task; nil
//     for a task of Submit or Go without a label;
//   - Worker, the number of the worker, from 0 up; -1 in TaskSubmitted, and in
//     TaskFinished for a task that never started;
//   - Time, the time of the step;
//   - Done and Total, the arguments of [Progress] in TaskProgress, and zero in
//     other kinds;
//   - Err, the task's error, in TaskFinished;
//   - Context, the context that was given to Submit or Map, or one that replaces
//     it, for its values.
type Event = executor.Event

// EventKind is the kind of an event. Its String method returns it as a word,
// such as "started".
type EventKind = executor.EventKind

// A task is submitted once and finished once. Unless it is canceled before it
// starts, it is started once in between, and reports progress any number of
// times.
const (
	TaskSubmitted = executor.TaskSubmitted // an executor has accepted the task
	TaskStarted   = executor.TaskStarted   // a worker has begun to run the task
	TaskProgress  = executor.TaskProgress  // the task called Progress
	TaskFinished  = executor.TaskFinished  // the task has settled; waiting goroutines have not been woken yet
)

// Progress reports to the observer of the task's executor how far the task
// is. The parameter done is the finished amount, and total is the whole
// amount, in any unit. A total of 0 means that the whole amount is unknown.
// ctx is the context that the task received. With any other context,
// Progress does nothing. It also does nothing if there is no observer.
func Progress(ctx context.Context, done, total int64) {
	executor.Progress(ctx, done, total)
}
