package executor

import "context"

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// or on other machines. A program makes one by New of a package, or by
// cluster.Dial, and passes it to [Submit] and [Map]. Programs call only its
// methods Close and Shutdown; the others are for authors of executors.
//
// All methods are safe for concurrent use. The suite in package executortest
// tests whether an implementation obeys the rules below.
type Executor interface {
	// Execute accepts the task, or returns an error. While the executor has no
	// room, Execute waits until ctx ends, and then returns [context.Cause]. It
	// uses ctx only for this wait: if there is room, it accepts the task even
	// if ctx has ended, as the context of TrySubmit always has. If ctx is the
	// context of a task, the waiter is that task's worker: pass ctx to
	// [WorkerGroup.WaitRoom], which finds the worker by it.
	//
	// If Execute returns nil, the executor must run, claim or fail the task. If
	// it returns an error, the executor must not. After Close or Shutdown, the
	// error is [ErrClosed].
	Execute(ctx context.Context, task *Task) error

	// Width returns the number of tasks of one Map that the executor can use at
	// the same time: the number of its workers, or more if workers fetch tasks
	// ahead. It is at least 1 and may change.
	Width() int

	// Close refuses new tasks, waits until all accepted ones have settled, and
	// releases the executor's resources. A second call waits for the first. If
	// a task or a callback closes its own executor, it would wait for itself.
	// An executor whose workers are goroutines of this process then refuses new
	// tasks, and returns an error that wraps [ErrDeadlock] at once.
	Close() error

	// Shutdown is a Close with a time limit. It refuses new tasks, and waits
	// until all tasks have settled or ctx ends. Then it cancels the remaining
	// tasks, those that run through their context, and waits for a grace
	// period. It returns nil if no task had to be canceled. Otherwise it
	// returns a [*ShutdownError] with the names of the tasks that still run
	// after the grace period. Their futures settle when their functions return.
	Shutdown(ctx context.Context) error
}
