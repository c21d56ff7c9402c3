package processes_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"concert/executor"
	"concert/processes"
)

// TestPool_Check: the pool must call Options.Check for the argument of each
// Relay before a worker receives the argument, and for no other task. If Check
// returns an error, the task must fail without starting, and Shutdown must not
// wait for it.
func TestPool_Check(t *testing.T) {
	refused := errors.New("refused")
	var checked, refuse atomic.Int64
	p := newPool(t, 1, &processes.Options{Check: func(arg executor.Encoded) error {
		checked.Add(1)
		if refuse.Load() > 0 {
			return refused
		}
		return nil
	}})
	name, arg, err := executor.Prepare(nop, 7)
	if err != nil {
		t.Fatal(err)
	}
	call := executor.Call{Name: name, Arg: arg}
	works(t, p)
	if checked.Load() != 0 {
		t.Error("arguments of this process were checked")
	}
	if got, err := executor.Relay(t.Context(), p, call).Result(t.Context()); err != nil || string(got.Bytes) != string(arg.Bytes) {
		t.Errorf("Relay() = %v, %v", got, err)
	}
	refuse.Store(1)
	for range 3 {
		call.Started = func() { t.Error("a refused task has started") }
		if _, err := executor.Relay(t.Context(), p, call).Result(t.Context()); !errors.Is(err, refused) {
			t.Errorf("Relay() = %v, want %v", err, refused)
		}
	}
	if checked.Load() != 4 {
		t.Errorf("%d arguments checked, want 4", checked.Load())
	}
	works(t, p)
	if err := p.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
}
