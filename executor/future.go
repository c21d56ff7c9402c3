package executor

import "context"

// Future is the future of a task: the task and its outcome. It is what
// concert.Future is made of, and what [Relay] returns.
type Future[T any] struct {
	task Task

	// The owner of the task writes value and err before the task is finished or
	// canceled. Other goroutines read value and err only after they have loaded
	// one of these states.
	value T
	err   error
}

// Task returns the task.
func (f *Future[T]) Task() *Task { return &f.task }

// State is the state of a task, as its future reports it.
type State uint8

// The states of a future. Pending leads to Running or Canceled, Running to
// Finished.
const (
	Pending  State = iota // the task waits for a worker
	Running               // a worker has started the task
	Finished              // the function of the task returned, panicked or ended its goroutine
	Canceled              // the task was canceled before it started
)

// Result blocks until the task has settled, and returns its outcome. See
// concert.Future.
func (f *Future[T]) Result(ctx context.Context) (T, error) {
	if err := f.task.Wait(ctx); err != nil {
		var zero T
		return zero, err
	}
	return f.value, f.err
}

// Done returns a channel that is closed when the task has settled.
func (f *Future[T]) Done() <-chan struct{} {
	done := make(closer)
	if !f.task.watch(&watcher{to: done}) {
		close(done)
		return done
	}
	forever := context.Background()
	if f.task.queuedEnd(forever) != nil {
		stop := expireLater(forever, []*Task{&f.task})
		if !f.task.watch(&watcher{to: stopper(stop)}) {
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
	case canceledState:
		return Canceled
	}
	return Pending
}

// Input returns the label of the task, or nil. See concert.Future.
func (f *Future[T]) Input() *Input { return f.task.input() }

// Cancel cancels the task, and never blocks. It reports whether the task never
// starts.
func (f *Future[T]) Cancel() bool {
	return f.task.Cancel(nil) || f.task.state() == canceledState
}

// OnDone calls fn once, when the task has settled: on the goroutine of the
// worker that ran the task, or on a goroutine of its own. If the task has
// settled already, OnDone calls fn at once. fn receives a context with the
// values of ctx. See concert.Future.
func (f *Future[T]) OnDone(ctx context.Context, fn func(ctx context.Context, f *Future[T])) {
	if ctx == nil || fn == nil {
		panic("concert: OnDone with a nil context or function")
	}
	w := &watcher{to: &callback{ctx, func(ctx context.Context) { fn(ctx, f) }}}
	if !f.task.watch(w) {
		here, self := carrierOf(ctx)
		f.task.runCallbacks(w, here, self)
	}
}

// String returns the name of the function and the state.
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
	case Canceled:
		return "canceled"
	}
	return "unknown state"
}
