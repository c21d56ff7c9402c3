package executor_test

import (
	"bytes"
	"context"
	"runtime/trace"
	"slices"
	"testing"

	"concert"
	"concert/goroutines"
)

func tracedSubmit(ctx context.Context, ex concert.Executor) (int, error) {
	return concert.Submit(ctx, ex, tracedInner, 3).Result(ctx)
}

func tracedInner(_ context.Context, n int) (int, error) { return n, nil }

func tracedItem(_ context.Context, n int) (int, error) {
	if n == 1 {
		panic("traced")
	}
	return n, nil
}

// TestTrace: while an execution trace is recorded, it has the names of the
// functions of Submits and Maps, and tasks find their workers as usual.
func TestTrace(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	run := func() {
		if got, err := concert.Submit(t.Context(), ex, tracedSubmit, concert.Executor(ex)).Result(t.Context()); got != 3 || err != nil { // a deadlock if the task does not find its worker
			t.Errorf("Result() = %d, %v", got, err)
		}
		n := 0
		for range concert.Map(t.Context(), ex, tracedItem, slices.Values([]int{0, 1, 2})) {
			n++
		}
		if n != 3 {
			t.Errorf("%d results of a Map, want 3", n)
		}
	}
	if trace.IsEnabled() {
		t.Skip("a trace of the tests is recorded")
	}
	var out bytes.Buffer
	if err := trace.Start(&out); err != nil {
		t.Fatal(err)
	}
	run()
	trace.Stop()
	for _, name := range []string{"executor_test.tracedSubmit", "executor_test.tracedInner", "executor_test.tracedItem"} {
		if !bytes.Contains(out.Bytes(), []byte(name)) {
			t.Errorf("the trace does not contain %q", name)
		}
	}
	run()
}
