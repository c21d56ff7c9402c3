package executor_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"concert/executor"
)

// TestCallIsolated_Timeout: if the function does not return, CallIsolated
// returns after the timeout.
func TestCallIsolated_Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		for name, c := range map[string]struct {
			fn   func() int
			want string // of the failure
			took time.Duration
		}{
			"returns": {func() int { return 3 }, "", 0},
			"panics":  {func() int { panic("out of cheese") }, "out of cheese", 0},
			"exits":   {func() int { runtime.Goexit(); return 3 }, "Goexit", 0},
			"hangs":   {func() int { <-release; return 3 }, "did not return within 1s", time.Second},
			"is slow": {func() int { time.Sleep(time.Millisecond); return 3 }, "", time.Millisecond},
		} {
			begin := time.Now()
			v, failure := executor.CallIsolated(time.Second, c.fn)
			if took := time.Since(begin); took != c.took {
				t.Errorf("%s: it took %v, want %v", name, took, c.took)
			}
			if c.want == "" && (v != 3 || failure != nil) || c.want != "" && (v != 0 || failure == nil || !strings.Contains(failure.Error(), c.want)) {
				t.Errorf("%s: %d, %v; want %q", name, v, failure, c.want)
			}
		}
	})
}

// hungError is an error with a method that does not return until the test
// releases it.
type hungError struct {
	method   string
	released <-chan struct{}
}

func (e *hungError) hang(method string) {
	if e.method == method {
		<-e.released
	}
}

func (e *hungError) Error() string { e.hang("Error"); return "hung" }

func (e *hungError) Is(error) bool { e.hang("Is"); return false }

func (e *hungError) Unwrap() error { e.hang("Unwrap"); return context.Canceled }

// TestEncodeError_Hangs: if methods of an error hang, EncodeError returns
// within a second, however many methods hang.
func TestEncodeError_Hangs(t *testing.T) {
	for _, method := range []string{"Error", "Is", "Unwrap"} {
		t.Run(method, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				defer close(released)
				begin := time.Now()
				err := executor.DecodeError(executor.EncodeError(errors.Join(&hungError{method, released}, &hungError{method, released})))
				if took := time.Since(begin); took > time.Second {
					t.Errorf("it took %v", took)
				}
				if want := map[bool]string{true: "did not return within 1s", false: "hung"}[method == "Error"]; !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %v, want %q", err, want)
				}
			})
		})
	}
}
