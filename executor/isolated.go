package executor

import (
	"fmt"
	"time"
)

// CallIsolated calls fn, which is code of the program, on another goroutine,
// and returns what fn returns. It is for authors of executors: fn may panic,
// call runtime.Goexit, or never return, and none of this affects the goroutine
// that calls CallIsolated. Do not hold a lock while calling CallIsolated.
//
// The failure is nil if fn returned, a [*PanicError] if it panicked, and
// [ErrGoexit] if it called runtime.Goexit. If fn does not return in time,
// the failure is an error that states the time. Go cannot stop a goroutine
// from outside, so fn then continues to run on its goroutine. If the
// parameter within is zero or less, there is no time limit.
func CallIsolated[T any](within time.Duration, fn func() T) (v T, failure error) {
	type outcome struct {
		v       T
		failure error
	}
	done := make(chan outcome, 1)
	go func() {
		o := outcome{failure: ErrGoexit}
		defer func() {
			if v := recover(); v != nil {
				o.failure = NewPanicError(v)
			}
			done <- o
		}()
		o.v = fn()
		o.failure = nil
	}()
	var timeout <-chan time.Time
	if within > 0 {
		timeout = time.After(within)
	}
	select {
	case o := <-done:
		return o.v, o.failure
	case <-timeout:
	}
	select {
	case o := <-done: // fn has returned in time, too: for example, the process was stopped for a while
		return o.v, o.failure
	default:
		return v, noReturnError(within)
	}
}

// noReturnError is the failure of code that did not return in time. Its value
// is the time limit.
type noReturnError time.Duration

// Error returns a text with the time limit.
func (e noReturnError) Error() string {
	return fmt.Sprintf("the function did not return within %v", time.Duration(e))
}

// guarded calls fn on another goroutine, and waits for fn without a time limit.
// It is for goroutines that fn may block forever.
func guarded(fn func()) (failure error) {
	_, failure = CallIsolated(0, func() struct{} { fn(); return struct{}{} })
	return failure
}

// howFailed returns a text that says how a method of the program failed.
func howFailed(failure error) string {
	switch f := failure.(type) {
	case *PanicError:
		return "panicked: " + newErrorMethods().textOf(f.Value, "String or Error", func() string { return panicText(f.Value) })
	case noReturnError:
		return fmt.Sprintf("did not return within %v", time.Duration(f))
	}
	return "called runtime.Goexit"
}
