package processes_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

// stuck is an argument, or a result, whose methods do not return in this
// process until they may.
type stuck struct{ AsResult bool }

var (
	unstuck  atomic.Value // of a chan struct{}: of the test that runs
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

// TestTimeout_Methods bounds methods that encode and decode by Options.Timeout
// as it bounds functions.
func TestTimeout_Methods(t *testing.T) {
	leftovers(t)
	release := make(chan struct{})
	unstuck.Store(release)
	defer close(release)
	p := newPool(t, 1, &processes.Options{Timeout: 100 * time.Millisecond, Grace: time.Millisecond})
	for _, s := range []stuckArg{{stuck{}}, {stuck{AsResult: true}}} {
		f := submit(t, p, getStuck, s)
		if _, err := submit(t, p, nop, 1).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err := f.Result(t.Context())
		if !errors.Is(err, processes.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v: %v, want ErrTimeout", s, err)
		}
	}
}

// TestCheck_Fails contains Options.Check: its failure refuses the argument.
func TestCheck_Fails(t *testing.T) {
	leftovers(t)
	name, arg, err := executor.Prepare(nop, 1)
	if err != nil {
		t.Fatal(err)
	}
	for how, check := range map[string]func(){"panic": func() { panic("no check") }, "goexit": runtime.Goexit} {
		p := newPool(t, 1, &processes.Options{Check: func(executor.Encoded) error { check(); return nil }})
		if _, err := executor.Relay(t.Context(), p, executor.Call{Name: name, Arg: arg}).Result(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Check") {
			t.Errorf("%s: %v; want an error that names Options.Check", how, err)
		}
		if _, err := submit(t, p, nop, 1).Result(t.Context()); err != nil {
			t.Errorf("%s: a task behind it: %v", how, err)
		}
	}
}
