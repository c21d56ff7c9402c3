package loopback_test

import (
	"context"
	"runtime"
	"testing"

	"concert"
	"concert/executor"
	"concert/internal/loopback"
)

var plusOne = concert.Register("loopback_test.plusOne", func(_ context.Context, n int) (int, error) { return n + 1, nil })

// TestRelay_StartedFails: if Started of a Call panics or calls runtime.Goexit,
// the call and the next task must succeed.
func TestRelay_StartedFails(t *testing.T) {
	ex := loopback.New(1, loopback.Options{})
	defer ex.Close()
	name, arg, err := executor.Prepare(plusOne, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, started := range []func(){func() { panic("started") }, runtime.Goexit} {
		if _, err := executor.Relay(t.Context(), ex, executor.Call{Name: name, Arg: arg, Started: started}).Result(t.Context()); err != nil {
			t.Errorf("Result() = %v", err)
		}
	}
	if n, err := concert.Submit(t.Context(), ex, plusOne, 1).Result(t.Context()); n != 2 || err != nil {
		t.Errorf("the next task = %d, %v", n, err)
	}
}
