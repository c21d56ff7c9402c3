package processes_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"concert"
	"concert/executor"
	"concert/internal/logtest"
	"concert/processes"
)

// lateFunction is registered once, while the tests run.
var lateFunction = sync.OnceValue(func() func(context.Context, int) (int, error) {
	return concert.Register("processes_test.late", func(_ context.Context, n int) (int, error) { return n, nil })
})

// TestRegister_AfterMain: a function is registered after the call of Main.
// For this function, Submit, Map, Relay and Initialize must fail with an
// error that gives the reason, and no worker may die.
func TestRegister_AfterMain(t *testing.T) {
	leftovers(t)
	late := lateFunction()
	p := newPool(t, 1, nil)
	pid, err := submit(t, p, pidOf, 0).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, concert.ErrNotRegistered) {
			t.Fatalf("error %v, want ErrNotRegistered", err)
		}
		for _, part := range []string{`"processes_test.late"`, "after processes.Main", "register it at package level"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q does not contain %q", err, part)
			}
		}
	}
	t.Run("Submit", func(t *testing.T) {
		for range 2 {
			_, err := submit(t, p, late, 1).Result(t.Context())
			check(t, err)
			works(t, p)
		}
	})
	t.Run("Map", func(t *testing.T) {
		n := 0
		for _, err := range concert.Map(t.Context(), p, late, slices.Values([]int{1, 2, 3})) {
			check(t, err)
			n++
		}
		if n != 3 {
			t.Errorf("%d results of 3", n)
		}
	})
	t.Run("Relay", func(t *testing.T) {
		_, err := executor.Relay(t.Context(), p, executor.Call{Name: "processes_test.late", Arg: encodedInt(t)}).Result(t.Context())
		check(t, err)
	})
	t.Run("Initialize", func(t *testing.T) {
		_, err := processes.New(1, &processes.Options{Init: processes.Initialize(late, 1)})
		check(t, err)
	})
	t.Run("Declare", func(t *testing.T) {
		declared := executor.Declare[int, int]("processes_test.lateDeclared", noCodec{})
		if _, err := submit(t, p, declared, 1).Result(t.Context()); !errors.Is(err, concert.ErrElsewhere) {
			t.Errorf("error %v, want ErrElsewhere", err)
		}
	})
	t.Run("workers of another program", func(t *testing.T) {
		var log logtest.Buffer
		p := fakes(t, 1, &log)
		if got, err := submit(t, p, late, 7).Result(t.Context()); got != 7 || err != nil {
			t.Errorf("%d, %v", got, err)
		}
	})
	if again, err := submit(t, p, pidOf, 0).Result(t.Context()); again != pid || err != nil {
		t.Errorf("the pid of the worker was %d and is %d, %v", pid, again, err)
	}
}

type noCodec struct{}

func (noCodec) Encode(any) ([]byte, error)         { return nil, errors.ErrUnsupported }
func (noCodec) Decode(executor.Encoded, any) error { return errors.ErrUnsupported }
