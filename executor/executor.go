package executor

import "context"

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// or on other machines. A program creates an executor by the function New of a
// package, or by cluster.Dial, and passes it to [Submit] and [Map]. Programs
// call only the methods Close and Shutdown. Authors of executors implement and
// call the others.
//
// All methods are safe for concurrent use. The suite in package executortest
// tests whether an implementation obeys the rules below.
type Executor interface {
	// Execute accepts the task, or returns an error. While the executor has no
	// room, Execute waits. If ctx ends during the wait, Execute returns
	// [context.Cause] of ctx. Execute uses ctx only for this wait. If there is
	// room, Execute accepts the task even if ctx has ended: TrySubmit passes
	// such a context. If ctx is the context of a task, the wait blocks the
	// worker of that task. So pass ctx to [WorkerGroup.WaitRoom], which finds
	// this worker by the context.
	//
	// If Execute returns nil, the executor must run, claim or fail the task. If
	// Execute returns an error, the executor must do none of these. After Close
	// or Shutdown, the error is [ErrClosed].
	Execute(ctx context.Context, task *Task) error

	// Width returns the number of tasks of one Map that the executor can use at
	// the same time: the number of its workers, or more if workers fetch tasks
	// ahead. It is at least 1 and may change.
	Width() int

	// Close refuses new tasks, waits until all accepted ones have settled, and
	// releases the executor's resources. A second call waits for the first. A
	// task or a callback that closes its own executor would wait for itself. In
	// this case, an executor whose workers are goroutines of this process
	// refuses new tasks, and returns an error that wraps [ErrDeadlock] at once.
	Close() error

	// Shutdown is a Close with a time limit. It refuses new tasks, and waits
	// until all tasks have settled. If ctx ends first, it cancels the remaining
	// tasks, and waits for at most a grace period. A running task is canceled
	// by its context. Shutdown returns nil if no task had to be canceled.
	// Otherwise it returns a [*ShutdownError] with the names of the tasks that
	// still run after the grace period. The futures of these tasks settle when
	// their functions return.
	Shutdown(ctx context.Context) error
}
