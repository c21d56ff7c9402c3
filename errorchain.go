package concert

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
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

// matched returns the sorted names of the sentinels that errors.Is would match
// with an error whose chain is all.
func matched(all []error, sentinels map[string]error) []string {
	found := make(map[string]bool)
	for _, e := range all {
		for name, s := range sentinels {
			if sameError(e, s) {
				found[name] = true
			}
		}
		is, ok := e.(interface{ Is(error) bool })
		if !ok {
			continue
		}
		ask := func(name string) {
			if is.Is(sentinels[name]) {
				found[name] = true
			}
		}
		// Goroutines cost time, and errors of package syscall have this method. So
		// there is one for all sentinels, and one for each only if it fails.
		failure := guarded(func() {
			for name := range sentinels {
				ask(name)
			}
		})
		if failure != nil {
			for name := range sentinels {
				guarded(func() { ask(name) })
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// sameError reports whether two errors are equal. Errors that cannot be compared
// are not.
func sameError(a, b error) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
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
