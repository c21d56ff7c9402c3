package executor

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrClosed is the error of tasks that were submitted to an executor after
	// its Close or Shutdown.
	ErrClosed = errors.New("concert: executor closed")

	// ErrCanceled is wrapped by the error of a task that was canceled before it
	// started; the text of the error says so. If a running task is canceled,
	// ErrCanceled is the cause of the task's context. [Future.State]
	// distinguishes the two cases: it is Canceled if the task never started,
	// and Finished otherwise. errors.Is finds [context.Canceled] in
	// ErrCanceled.
	ErrCanceled error = canceled{}

	// ErrGoexit is the error of a task that ended its goroutine with
	// [runtime.Goexit], as testing.T.FailNow does.
	ErrGoexit = errors.New("concert: task called runtime.Goexit")

	// ErrDeadlock is returned by a wait that could never end, because the
	// awaited task waits for the caller, directly or through other tasks. Such
	// a circle of waits is no deadlock if one of the waits can end early. A
	// wait can end early if its context has a deadline, or if its context can
	// be canceled and was derived from the context of the task.
	ErrDeadlock = errors.New("concert: deadlock: tasks wait for each other in a circle")

	// ErrNotRegistered is wrapped by the error of a task whose function must
	// run in another process, but was not registered. See [Register].
	ErrNotRegistered = errors.New("concert: function not registered")
)

// canceled is the type of ErrCanceled.
type canceled struct{}

// Error does not say whether the task had started.
func (canceled) Error() string { return "concert: task canceled" }

// Is reports that the error is also context.Canceled.
func (canceled) Is(target error) bool { return target == context.Canceled }

// neverStarted is the error of a task that never started, because the task was
// canceled, its context ended, or its executor was shut down. errors.Is matches
// it with ErrCanceled and with its cause. The cause is nil if Cancel was called
// without one.
type neverStarted struct{ cause error }

// Error says that the task did not start, and why.
func (e *neverStarted) Error() string {
	const text = "concert: task canceled before it started"
	if e.cause == nil || e.cause == ErrCanceled {
		return text
	}
	return text + ": " + e.cause.Error()
}

// Is reports that the error is also ErrCanceled, and so context.Canceled.
func (e *neverStarted) Is(target error) bool {
	return target == ErrCanceled || target == context.Canceled
}

// Unwrap returns the cause.
func (e *neverStarted) Unwrap() error { return e.cause }

// closedError is the error of a Map whose executor was shut down. errors.Is
// matches it with ErrClosed and with the cause with which Shutdown's context
// ended. It does not match the errors of package context, because the caller
// of Map could not distinguish such an error from the end of its own
// context.
type closedError struct{ cause error }

// Error says that the executor was closed, and why.
func (e *closedError) Error() string {
	if e.cause == nil || e.cause == ErrCanceled {
		return ErrClosed.Error()
	}
	return ErrClosed.Error() + ": shutdown: " + e.cause.Error()
}

// Is reports that the error is ErrClosed.
func (e *closedError) Is(target error) bool { return target == ErrClosed }

// Unwrap returns the cause, or nil if the cause is an error of package context.
func (e *closedError) Unwrap() error {
	if errors.Is(e.cause, context.Canceled) || errors.Is(e.cause, context.DeadlineExceeded) {
		return nil
	}
	return e.cause
}

// ShutdownError is returned by Shutdown when it had to cancel tasks.
type ShutdownError struct {
	// Cause is the cause with which the context of Shutdown ended.
	Cause error
	// Canceled is the number of tasks that were canceled before they started.
	Canceled int
	// Running has the name of each task that was still running when the grace
	// period was over.
	Running []string
}

// Error returns a text with the cause and the names of the first few tasks
// that still run.
func (e *ShutdownError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "concert: shutdown: %v", e.Cause)
	if e.Canceled > 0 {
		fmt.Fprintf(&b, "; %d waiting canceled", e.Canceled)
	}
	if len(e.Running) > 0 {
		const most = 5
		shown, rest := e.Running, ""
		if len(shown) > most {
			shown, rest = shown[:most], fmt.Sprintf(" and %d more", len(e.Running)-most)
		}
		fmt.Fprintf(&b, "; still running: %s%s", strings.Join(shown, ", "), rest)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *ShutdownError) Unwrap() error { return e.Cause }
