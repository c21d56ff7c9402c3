package processes_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

var triple = concert.Register("processes.triple", func(_ context.Context, n int) (int, error) { return 3 * n, nil })

// TestNew_ExtremeOptions: New must accept the largest numbers in its
// options. If n is too large, New must return an error that names n. If a
// number is negative, New must panic with the name of the option.
func TestNew_ExtremeOptions(t *testing.T) {
	for name, o := range map[string]processes.Options{
		"Queue":        {Queue: math.MaxInt},
		"Timeout":      {Timeout: math.MaxInt64},
		"Grace":        {Grace: math.MaxInt64},
		"least Grace":  {Grace: math.MinInt64},
		"StartTimeout": {StartTimeout: math.MaxInt64},
		"MaxTasks":     {MaxTasks: math.MaxInt},
		"MaxResident":  {MaxResident: math.MaxInt64},
		"Memory":       {Memory: math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			ex, err := processes.New(1, &o)
			if errors.Is(err, errors.ErrUnsupported) {
				return // this system has no such limit
			}
			if err != nil {
				t.Fatal(err)
			}
			defer ex.Close()
			if got, err := concert.Submit(t.Context(), ex, triple, 3).Result(t.Context()); got != 9 || err != nil {
				t.Errorf("Result() = %d, %v; want 9", got, err)
			}
			ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1<<40, 0))
			defer cancel()
			if got, err := concert.Submit(ctx, ex, triple, 3).Result(ctx); got != 9 || err != nil {
				t.Errorf("Result() with a deadline in 35,000 years = %d, %v; want 9", got, err)
			}
		})
	}
	t.Run("workers", func(t *testing.T) {
		if ex, err := processes.New(math.MaxInt, nil); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("n is %d; at most 65536", math.MaxInt)) {
			t.Errorf("New(MaxInt) = %v, %v; want an error that names n", ex, err)
		}
	})
	for name, o := range map[string]processes.Options{
		"Options.Queue":        {Queue: -1},
		"Options.Timeout":      {Timeout: -1},
		"Options.StartTimeout": {StartTimeout: -1},
		"Options.MaxTasks":     {MaxTasks: -1},
		"Options.MaxResident":  {MaxResident: -1},
		"Options.Memory":       {Memory: -1},
		"Options.Threads":      {Threads: -1},
		"n":                    {},
	} {
		t.Run("negative "+name, func(t *testing.T) {
			n := 1
			if name == "n" {
				n = -1
			}
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, "processes: New: "+name+" is -1") {
					t.Errorf("panic text %q, want that it names %s", text, name)
				}
			}()
			processes.New(n, &o)
		})
	}
}

// neverCodec is a SharedCodec that is never called.
type neverCodec struct{ executor.SharedCodec }

// TestNew_SharedCodecWithoutCommand: workers of this program do not use the
// codec, so New must refuse it.
func TestNew_SharedCodecWithoutCommand(t *testing.T) {
	if p, err := processes.New(1, &processes.Options{SharedCodec: neverCodec{}}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "Options.Command") {
		t.Errorf("New() = %v, %v; want an error that names Options.Command", p, err)
	}
}
