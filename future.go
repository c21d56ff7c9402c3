package concert

import "context"

// A Future is the outcome of a task that may still be waiting or running. It
// is made by [Submit] or [Go], settles exactly once, and may be used from any
// number of goroutines.
type Future[T any] struct {
	task Task

	// Written by the task's owner before the task is finished or cancelled;
	// read only after that was seen.
	value T
	err   error
}

// State is how far a task is.
type State uint8

// The states of a future. Pending leads to Running or Cancelled, Running to
// Finished.
const (
	Pending   State = iota // waits for a worker
	Running                // a worker has started it, no sooner
	Finished               // its function returned, panicked or ended its goroutine
	Cancelled              // it was dropped before it started
)

// Result waits until the task has settled and returns its value or its error.
// If ctx ends first it returns [context.Cause] of ctx; the task goes on, and
// Result may be called again. An outcome that is there already is returned
// whatever ctx is. Whether an error is the task's or the wait's, State tells.
//
// Called in a task with the task's own context (or one derived from it),
// Result cannot deadlock on a full pool: see the package comment, and there
// also when it may outlast ctx.
//
// The return of the task's function synchronizes before the return of Result.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if err := f.task.wait(ctx); err != nil {
		var zero T
		return zero, err
	}
	return f.value, f.err
}

// Done returns a channel that is closed once the task has settled, for use in
// a select. A wait on a channel is outside concert's sight: in a task, Result
// is what cannot deadlock.
func (f *Future[T]) Done() <-chan struct{} {
	done := make(closer)
	if !f.task.watch(&watcher{tell: done}) {
		close(done)
		return done
	}
	forever := context.Background()
	if f.task.queuedEnd(forever) != nil {
		stop := expireLater(forever, []*Task{&f.task})
		if !f.task.watch(&watcher{tell: stopper(stop)}) {
			stop()
		}
	}
	return done
}

// State returns the state of the task at this moment.
func (f *Future[T]) State() State {
	switch f.task.state() {
	case running, finishing:
		return Running
	case finished:
		return Finished
	case cancelledState:
		return Cancelled
	}
	return Pending
}

// Input returns the name of the task's function and the label that [WithLabel]
// has given to the task. It returns nil for a task without a label. Packages
// use it for their own errors of a task: if such an error has a method
// TaskInput that returns it, [InputOf] finds the label.
func (f *Future[T]) Input() *Input { return f.task.input() }

// Cancel asks the task to end. A task that has not started never will: its
// error wraps [ErrCancelled], and Cancel returns true, now and at later calls.
// The context of a running task is cancelled, with cause ErrCancelled, and
// Cancel returns false: what the function then returns is the outcome. On a
// finished task Cancel does nothing and returns false. It never blocks.
func (f *Future[T]) Cancel() bool {
	return f.task.Cancel(nil) || f.task.state() == cancelledState
}

// OnDone has fn called once, when the task has settled: on the goroutine of
// the worker that ran it, or on one of its own if none in this process did. If
// the task has settled already, fn is called at once, on this goroutine.
// Functions added before the task settles are called in the order in which
// they were added, after those who wait have been woken, and with no lock held.
// A panic in one is logged with package slog, and the others are called all
// the same. A function that does not return blocks the goroutine that calls it.
// In a goroutine pool, this may be a worker, which then runs no other tasks.
//
// fn is given a context with the values of ctx, which does not end with it, and
// which marks the worker on whose goroutine fn runs: with it fn may submit and
// wait as a task may. It is for fn only, not for goroutines that fn starts.
// OnDone panics if ctx or fn is nil.
func (f *Future[T]) OnDone(ctx context.Context, fn func(ctx context.Context, f *Future[T])) {
	if ctx == nil || fn == nil {
		panic("concert: OnDone with a nil context or function")
	}
	w := &watcher{tell: &callback{ctx, func(ctx context.Context) { fn(ctx, f) }}}
	if !f.task.watch(w) {
		here, self := standing(ctx)
		f.task.runCallbacks(w, here, self)
	}
}

// String describes the future: its function and its state.
func (f *Future[T]) String() string { return f.task.Name() + " (" + f.State().String() + ")" }

// String returns the state as a word, in lower case.
func (s State) String() string {
	switch s {
	case Pending:
		return "pending"
	case Running:
		return "running"
	case Finished:
		return "finished"
	case Cancelled:
		return "cancelled"
	}
	return "unknown state"
}
