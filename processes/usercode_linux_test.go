package processes_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

// stuck is an argument or a result. In this process, its methods block until
// the test closes the channel in the variable unstuck.
type stuck struct{ AsResult bool }

var (
	unstuck  atomic.Value // the chan struct{} of the running test
	getStuck = concert.Register("processes_test.getStuck", func(_ context.Context, s stuckArg) (stuckResult, error) { return stuckResult(s), nil })
)

type (
	stuckArg    struct{ stuck }
	stuckResult struct{ stuck }
)

func (s stuckArg) MarshalBinary() ([]byte, error) {
	if !s.AsResult {
		<-unstuck.Load().(chan struct{})
	}
	return nil, nil
}

func (s *stuckArg) UnmarshalBinary([]byte) error     { s.AsResult = true; return nil }
func (s stuckResult) MarshalBinary() ([]byte, error) { return nil, nil }
func (s *stuckResult) UnmarshalBinary(b []byte) error {
	<-unstuck.Load().(chan struct{})
	return nil
}

// TestTimeout_CodecMethods: if a method that encodes an argument or decodes a
// result does not return within Options.Timeout, the task must fail with
// ErrTimeout.
func TestTimeout_CodecMethods(t *testing.T) {
	leftovers(t)
	release := make(chan struct{})
	unstuck.Store(release)
	defer close(release)
	p := newPool(t, 1, &processes.Options{Timeout: 100 * time.Millisecond, Grace: time.Millisecond})
	for name, s := range map[string]stuckArg{"argument": {stuck{}}, "result": {stuck{AsResult: true}}} {
		t.Run(name, func(t *testing.T) {
			f := submit(t, p, getStuck, s)
			if _, err := submit(t, p, nop, 1).Result(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := f.Result(t.Context())
			if !errors.Is(err, processes.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want ErrTimeout", err)
			}
		})
	}
}

// TestCheck_Fails: if Options.Check panics or calls Goexit, only the task with
// that argument must fail.
func TestCheck_Fails(t *testing.T) {
	leftovers(t)
	name, arg, err := executor.Prepare(nop, 1)
	if err != nil {
		t.Fatal(err)
	}
	for how, check := range map[string]func(){"panic": func() { panic("no check") }, "goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			p := newPool(t, 1, &processes.Options{Check: func(executor.Encoded) error { check(); return nil }})
			if _, err := executor.Relay(t.Context(), p, executor.Call{Name: name, Arg: arg}).Result(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Check") {
				t.Errorf("%s: %v; want an error that names Options.Check", how, err)
			}
			if _, err := submit(t, p, nop, 1).Result(t.Context()); err != nil {
				t.Errorf("%s: a later task: %v", how, err)
			}
		})
	}
}

// badError cannot be decoded.
type badError struct{}

func (*badError) Error() string { return "bad" }

func (*badError) MarshalBinary() ([]byte, error) { return []byte{1}, nil }

func (*badError) UnmarshalBinary([]byte) error { panic("cannot be decoded") }

func init() { concert.RegisterErrorType[*badError]("processes_test.badError") }

var failBadly = concert.Register("processes_test.failBadly", func(context.Context, int) (int, error) { return 0, &badError{} })

// TestError_DecoderPanics: if the decoder of an error panics, the task must
// still fail with the text of the error, and the pool must continue.
func TestError_DecoderPanics(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, failBadly, 0).Result(t.Context()); err == nil || err.Error() != "bad" {
		t.Errorf("error %v, want bad", err)
	}
	works(t, p)
}

// exitArg ends the goroutine that encodes it.
type exitArg struct{ N int }

func (exitArg) MarshalBinary() ([]byte, error) { runtime.Goexit(); return nil, nil }

func (*exitArg) UnmarshalBinary([]byte) error { return nil }

var takeExit = concert.Register("processes_test.takeExit", func(context.Context, exitArg) (int, error) { return 0, nil })

// TestArgument_MarshalerGoexit: if the method that encodes an argument calls
// Goexit, only the task with that argument must fail.
func TestArgument_MarshalerGoexit(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, nil)
	if _, err := submit(t, p, takeExit, exitArg{}).Result(t.Context()); !errors.Is(err, concert.ErrGoexit) {
		t.Errorf("a Submit: %v, want ErrGoexit", err)
	}
	works(t, p)
	n := 0
	for _, err := range concert.Map(t.Context(), p, takeExit, slices.Values(make([]exitArg, 3))) {
		if n++; !errors.Is(err, concert.ErrGoexit) {
			t.Errorf("item %d of a Map: %v, want ErrGoexit", n, err)
		}
	}
	if n != 3 {
		t.Errorf("%d results of 3", n)
	}
	works(t, p)
	if err := p.Close(); err != nil {
		t.Error(fmt.Errorf("Close() = %w", err))
	}
}
