package loop

import (
	"context"
	"errors"
	"reflect"
	"time"

	"concert"
)

// ErrClosed is the error of a Queue or a Portal that is used after it was
// closed.
var ErrClosed = errors.New("loop: closed")

// errLeft is the cause of contexts that have been left.
var errReturned = errors.New("loop: the context's function has returned")

// errCanceled is the cause where none was given.
var errCanceled error = canceled("loop: canceled")

// canceled is the cause of an end that is as good as context.Canceled.
type canceled string

// Error is the text.
func (e canceled) Error() string { return string(e) }

// Is makes it context.Canceled for errors.Is.
func (e canceled) Is(target error) bool { return target == context.Canceled }

// errDone is the cause for background children to end, and for those of Cancel.
var errGroupDone error = canceled("loop: the group is done")

// siblingFailed is the cause with which a context of a group ends after a
// failure.
type siblingError struct {
	name string
	err  error
}

// Error says who failed and how. Only here is the error of the program asked
// for its text: its method may fail, or not return.
func (e *siblingError) Error() string {
	return "loop: canceled, because " + e.name + " failed: " + concert.ErrorText(e.err)
}

// Is makes it context.Canceled for errors.Is.
func (e *siblingError) Is(target error) bool { return target == context.Canceled }

// methodTime is how long the methods of an error may take that the loop asks.
const maxMethodTime = time.Second

// isEcho calls echoes for errors of the program, whose methods may panic, end
// their goroutine or not return. An error with such a method is no echo.
func isCancellationOnly(err, cause error) bool {
	if !callsMethods(err) && !callsMethods(cause) {
		return onlyReports(err, cause) // it calls none
	}
	only, _ := concert.CallApart(maxMethodTime, func() bool { return onlyReports(err, cause) })
	return only
}

// hasMethods reports whether an error has a method that echoes calls.
func callsMethods(err error) bool {
	switch err.(type) {
	case canceled, *siblingError:
		return false // those of this package return at once
	case interface{ Unwrap() error }, interface{ Unwrap() []error }, interface{ Is(error) bool }:
		return true
	}
	return false
}

// echoes reports whether an error says no more than that a context has ended
// with a cause. Of one that joins several all have to; a panic says more.
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
	below := errors.Unwrap(err)
	return below != nil && onlyReports(below, cause)
}

// says is errors.Is without what the error wraps.
func matches(err, target error) bool {
	if reflect.ValueOf(target).Comparable() && reflect.ValueOf(err).Comparable() && err == target {
		return true
	}
	e, ok := err.(interface{ Is(error) bool })
	return ok && e.Is(target)
}
