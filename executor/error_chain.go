package executor

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// maxChain is the maximum number of errors in a chain. An Unwrap method may
// return its own error, so that the chain would never end.
const maxChain = 1000

// errorTime bounds the time that the methods of one error may take, all
// together, when an executor calls them.
const errorTime = time.Second

// errorMethods calls methods of an error. These methods may panic, end their
// goroutine, or never return. When errorTime is over, errorMethods calls no
// further methods.
type errorMethods struct{ until time.Time }

func newErrorMethods() *errorMethods { return &errorMethods{time.Now().Add(errorTime)} }

// callMethod calls fn, which calls a method of an error, on another goroutine.
// It returns the failure if fn fails or the time of m is over.
func callMethod[T any](m *errorMethods, fn func() T) (v T, failure error) {
	left := time.Until(m.until)
	if left <= 0 {
		return v, noReturnError(errorTime)
	}
	v, failure = CallIsolated(left, fn)
	if _, hangs := failure.(noReturnError); hangs {
		failure = noReturnError(errorTime)
	}
	return v, failure
}

// chain returns err and the errors that it wraps, in the order in which
// errors.Is examines them.
func (m *errorMethods) chain(err error) []error {
	var all []error
	var add func(error)
	add = func(e error) {
		if e == nil || len(all) >= maxChain {
			return
		}
		all = append(all, e)
		switch u := e.(type) {
		case interface{ Unwrap() error }:
			inner, _ := callMethod(m, u.Unwrap)
			add(inner)
		case interface{ Unwrap() []error }:
			inner, _ := callMethod(m, u.Unwrap)
			for _, e := range inner {
				add(e)
			}
		}
	}
	add(err)
	return all
}

// matched returns the sorted names of the sentinels that errors.Is would
// match with an error. The parameter all is the chain of this error.
func (m *errorMethods) matched(all []error, sentinels map[string]error) []string {
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
		// Errors of package syscall have a method Is, and a goroutine for each
		// sentinel would take too much time. So one goroutine calls Is for all
		// sentinels. If this fails, callMethod starts a goroutine for each
		// sentinel.
		names, failure := callMethod(m, func() (names []string) {
			for name, s := range sentinels {
				if is.Is(s) {
					names = append(names, name)
				}
			}
			return names
		})
		for _, name := range names {
			found[name] = true
		}
		if failure == nil {
			continue
		}
		for name, s := range sentinels {
			if is, failure := callMethod(m, func() bool { return is.Is(s) }); failure == nil && is {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// sameError reports whether two errors are equal. It returns false for errors
// that cannot be compared.
func sameError(a, b error) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// text returns the text of the Error method, or a text that says how the method
// failed.
func (m *errorMethods) text(err error) string { return m.textOf(err, "Error", err.Error) }

// textOf returns the result of text, which calls the named method of v. If the
// method fails, textOf returns a text that says so.
func (m *errorMethods) textOf(v any, method string, text func() string) string {
	s, failure := callMethod(m, text)
	if failure != nil {
		return fmt.Sprintf("%T whose %s method %s", v, method, howFailed(failure))
	}
	return s
}

// ErrorText returns the text of an error for the logs of an executor. The Error
// method may be user code. If it panics, or does not return within a second,
// the result says so. Do not hold a lock while calling ErrorText.
func ErrorText(err error) string { return newErrorMethods().text(err) }
