package concert

import "context"

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// on other machines. Programs make one with its package's New and hand it to
// [Submit] and [Map]; only those who write an executor call its methods other
// than Close and Shutdown.
//
// All methods are safe for concurrent use. The suite in package executortest
// holds an implementation to the rules written here.
type Executor interface {
	// Execute accepts the task, or says why not. It waits for room while the
	// executor has none, until ctx ends, and then returns [context.Cause];
	// that wait is the only thing ctx is for, so with room at hand an ended
	// ctx is no obstacle. A context that is a task's own marks the worker
	// that waits (see [WorkerGroup.WaitRoom]).
	//
	// Having returned nil, Execute owes the task an end: it will run it,
	// claim it, or fail it. Having returned an error it owes nothing. After
	// Close or Shutdown the error is [ErrClosed].
	Execute(ctx context.Context, task *Task) error

	// Width is the number of tasks the executor can usefully hold at once
	// from one Map: its workers, or more where workers fetch ahead. It is at
	// least 1 and may change.
	Width() int

	// Close refuses new tasks, waits for all accepted ones to settle, and
	// releases what the executor holds. A second call waits for the first.
	// A task, or a callback, that closes its own executor would wait for itself:
	// an executor whose workers are goroutines of this process refuses new tasks
	// then, and returns an error that wraps [ErrDeadlock] at once.
	Close() error

	// Shutdown is a Close that ends. It drains until ctx ends; then it
	// cancels every task that is left, running ones through their context,
	// and waits a grace period. It returns nil when all tasks had settled by
	// themselves, and otherwise a [*ShutdownError], with the names of tasks
	// still running after the grace period; their futures settle when their
	// functions return.
	Shutdown(ctx context.Context) error
}
