package loop

import (
	"context"
	"errors"
	"reflect"
	"time"

	"concert"
	"concert/executor"
)

// ErrClosed is the error of a call on a closed Queue or Portal.
var ErrClosed = errors.New("loop: queue or portal is closed")

// errReturned is the cause of a context whose coroutine or group has ended.
var errReturned = errors.New("loop: the function with this context has returned")

// errCanceled is the cause of a cancellation without a cause.
var errCanceled error = canceled("loop: canceled")

// canceled is a cause that is [context.Canceled].
type canceled string

// Error returns the text of the error.
func (e canceled) Error() string { return string(e) }

// Is reports whether target is context.Canceled.
func (e canceled) Is(target error) bool { return target == context.Canceled }

// errGroupDone is the cause of the context of a group that was ended by
// Group.Cancel. Group.Cancel is also called when only background children of
// the group remain.
var errGroupDone error = canceled("loop: the group was canceled or has no other children")

// siblingError is the cause with which the context of a group ends when a child
// or the body fails.
type siblingError struct {
	name string
	err  error
}

// Error says which coroutine failed, and why. Only this method calls the
// Error method of the coroutine's error. It does so with protection, because
// that method is code of the program, and may panic or not return.
func (e *siblingError) Error() string {
	return "loop: canceled because " + e.name + " failed: " + executor.ErrorText(e.err)
}

// Is reports whether target is context.Canceled.
func (e *siblingError) Is(target error) bool { return target == context.Canceled }

// maxMethodTime is the maximum time that the loop waits for a method of an
// error, or for a log handler of the program.
const maxMethodTime = time.Second

// isCancellationOnly reports whether err is a cancellation-only error: an
// error which says only that a context has ended with this cause. The
// methods of err are code of the program. If one of them panics, calls
// runtime.Goexit or does not return, the result is false.
func isCancellationOnly(err, cause error) bool {
	if !callsMethods(err) && !callsMethods(cause) {
		return onlyReports(err, cause) // this call runs no code of the program
	}
	only, _ := executor.CallIsolated(maxMethodTime, func() bool { return onlyReports(err, cause) })
	return only
}

// callsMethods reports whether onlyReports calls methods of err that are code
// of the program.
func callsMethods(err error) bool {
	switch err.(type) {
	case canceled, *siblingError:
		return false // the methods of these types belong to this package
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		return true
	}
	return false
}

// onlyReports does the same as isCancellationOnly without protection against
// the methods of err. A joined error is cancellation-only if all its parts are
// cancellation-only. A PanicError is never cancellation-only.
func onlyReports(err, cause error) bool {
	switch e := err.(type) {
	case *concert.PanicError:
		return false
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if !onlyReports(err, cause) {
				return false
			}
		}
		return true
	}
	if matches(err, cause) || matches(err, context.Canceled) || matches(err, context.DeadlineExceeded) && matches(cause, context.DeadlineExceeded) {
		return true
	}
	wrapped := errors.Unwrap(err)
	return wrapped != nil && onlyReports(wrapped, cause)
}

// matches is errors.Is for err itself, without the errors that it wraps.
func matches(err, target error) bool {
	if reflect.ValueOf(target).Comparable() && reflect.ValueOf(err).Comparable() && err == target {
		return true
	}
	e, ok := err.(interface{ Is(error) bool })
	return ok && e.Is(target)
}
