package concert

import (
	"fmt"
	"reflect"
)

// maxChain bounds the length of a chain: an Unwrap method may return its own
// error.
const maxChain = 1000

// errorChain returns err and the errors that it wraps, in the order in which
// errors.Is examines them.
func errorChain(err error) []error {
	var all []error
	var add func(error)
	add = func(e error) {
		if e == nil || len(all) >= maxChain {
			return
		}
		all = append(all, e)
		switch u := e.(type) {
		case interface{ Unwrap() error }:
			var inner error
			if guarded(func() { inner = u.Unwrap() }) == nil {
				add(inner)
			}
		case interface{ Unwrap() []error }:
			var inner []error
			if guarded(func() { inner = u.Unwrap() }) != nil {
				return
			}
			for _, e := range inner {
				add(e)
			}
		}
	}
	add(err)
	return all
}

// errorIs reports whether errors.Is would match e, one error of a chain, with
// the target.
func errorIs(e, target error) bool {
	if sameError(e, target) {
		return true
	}
	is, ok := e.(interface{ Is(error) bool })
	return ok && guardedTrue(func() bool { return is.Is(target) })
}

// sameError reports whether two errors are equal. Errors that cannot be compared
// are not.
func sameError(a, b error) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// guardedTrue returns the result of fn, or false if fn did not return.
func guardedTrue(fn func() bool) (ok bool) {
	return guarded(func() { ok = fn() }) == nil && ok
}

// errorText returns the text of the Error method, or a text that says how the
// method failed.
func errorText(err error) string { return guardedText(err, "Error", err.Error) }

// guardedText returns the result of text, which calls the method of v. If the
// method fails, guardedText returns a text that says so.
func guardedText(v any, method string, text func() string) (s string) {
	if failure := guarded(func() { s = text() }); failure != nil {
		if p, ok := failure.(*PanicError); ok {
			return fmt.Sprintf("%T whose %s method panicked: %s", v, method, panicText(p.Value))
		}
		return fmt.Sprintf("%T whose %s method called runtime.Goexit", v, method)
	}
	return s
}

// guarded calls fn, which calls methods of the program, on another goroutine
// and waits for it. The error is nil if fn returned, a [*PanicError] if it
// panicked, and ErrGoexit if it called runtime.Goexit.
func guarded(fn func()) (failure error) {
	done := make(chan error, 1)
	go func() {
		failure := ErrGoexit
		defer func() {
			if v := recover(); v != nil {
				failure = NewPanicError(v)
			}
			done <- failure
		}()
		fn()
		failure = nil
	}()
	return <-done
}
