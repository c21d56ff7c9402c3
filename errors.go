package concert

import "concert/executor"

var (
	// ErrClosed is the error of tasks that were submitted to an executor after
	// its Close or Shutdown.
	ErrClosed = executor.ErrClosed

	// ErrCanceled is wrapped by the error of a task that was canceled before it
	// started; the text of the error says so. If a running task is canceled,
	// ErrCanceled is the cause of the task's context. [Future.State]
	// distinguishes the two cases: it is Canceled if the task never started,
	// and Finished otherwise. errors.Is finds [context.Canceled] in
	// ErrCanceled.
	ErrCanceled = executor.ErrCanceled

	// ErrGoexit is the error of a task that ended its goroutine with
	// [runtime.Goexit], as testing.T.FailNow does.
	ErrGoexit = executor.ErrGoexit

	// ErrDeadlock is returned by a wait that could never end, because the
	// awaited task waits for the caller, directly or through other tasks. Such
	// a circle of waits is no deadlock if one of the waits can end early. A
	// wait can end early if its context has a deadline, or if its context can
	// be canceled and was derived from the context of the task.
	ErrDeadlock = executor.ErrDeadlock

	// ErrNotRegistered is wrapped by the error of a task whose function must
	// run in another process, but was not registered. See [Register].
	ErrNotRegistered = executor.ErrNotRegistered

	// ErrElsewhere is wrapped by an error of a function that exists only in
	// the workers of another program, such as a function of python.Func. The
	// function has this error if it is called in this program.
	ErrElsewhere = executor.ErrElsewhere
)

// PanicError is the error of a task that panicked.
//
// Every executor recovers panics, because a future must settle and a pool must
// continue. The panic of a plain goroutine ends the program. The panic of a
// task does not, because the code that waits for the outcome receives it as an
// error. To raise the panic again, call panic with this error.
//
// It has the fields
//
//   - Value, the argument of panic, or its text if the task panicked in another
//     process;
//   - Task, the name of the task's function, or "" if other code panicked;
//   - Input, the index of the input in its Map, and the label of the task; nil
//     for a task of Submit or Go without a label.
//
// Its method Stack returns the stack at the panic, and so does the format %+v.
// Unwrap returns the value if that is an error.
type PanicError = executor.PanicError

// RemoteError is an error that a task returned in another process. It has the
// text of the original error. If the original was of a registered type and
// could not be encoded, Error adds the reason to the text. For registered
// sentinels, [errors.Is] returns the same as for the original: see
// [RegisterError]. For registered types, [errors.As] returns the same as for
// the original: see [RegisterErrorType]. Under %+v, errors of these types print
// their details, such as a traceback.
//
// If a task is canceled and returns [context.Cause] of its context, the
// submitter receives the cause as the task's error. The same holds for a
// task in the submitter's own process. For a task in another process there
// are two exceptions, because the cause is not sent to the worker. If a task
// wraps the cause in another error, that error wraps [ErrCanceled]. If a
// deadline has a cause of its own, as with [context.WithTimeoutCause], the
// error of the task is [context.DeadlineExceeded].
//
// It has the fields
//
//   - Type, the type of the original, as %T prints it;
//   - Text, the text of the original, at most 1 MiB of it;
//   - Input, the index of the input in its Map, and the label of the task; nil
//     for a task of Submit or Go without a label.
type RemoteError = executor.RemoteError

// ShutdownError is returned by Shutdown when it had to cancel tasks. It has the
// fields
//
//   - Cause, the cause with which the context of Shutdown ended; Unwrap returns
//     it;
//   - Canceled, the number of tasks that were canceled before they started;
//   - Running, the names of the tasks that were still running when the grace
//     period was over.
type ShutdownError = executor.ShutdownError
