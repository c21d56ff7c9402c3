package executor_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

type recorded struct {
	Names map[string][]any
	Next  *recorded
}

var echoRecorded = concert.Register("executor_test.echoRecorded", func(_ context.Context, v any) (recorded, error) {
	return v.(recorded), nil
})

// TestRecording: an input must have the same encoding each time, a decoded
// result must equal the original, and errors must have the index of the
// input.
func TestRecording(t *testing.T) {
	r, err := executor.RecordingOf(echoRecorded)
	if err != nil {
		t.Fatal(err)
	}
	if r.Name() != "executor_test.echoRecorded" || !strings.Contains(r.Results(), "Names") {
		t.Errorf("%q, %q", r.Name(), r.Results())
	}
	v := recorded{map[string][]any{"a": {1, "x"}, "b": {}, "c": nil, "d": {int8(3)}}, &recorded{}}
	first, err := r.Input(0, v)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if e, err := r.Input(1, v); err != nil || !reflect.DeepEqual(e, first) {
			t.Fatalf("%v, %v; want %v", e, err, first)
		}
	}
	e, err := r.Result(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Decode(t.Context(), e); err != nil || !reflect.DeepEqual(got, v) {
		t.Errorf("%v, %v", got, err)
	}
	e.Bytes = e.Bytes[:len(e.Bytes)-1]
	if _, err := r.Decode(t.Context(), e); err == nil || !strings.HasPrefix(err.Error(), "concert: result of executor_test.echoRecorded: ") {
		t.Errorf("a damaged result: %v", err)
	}
	_, err = r.Input(7, make(chan int))
	if in := concert.InputOf(err); in == nil || in.Index != 7 || !strings.HasPrefix(err.Error(), "concert: argument of executor_test.echoRecorded: input 7: ") {
		t.Errorf("%v, %v", err, in)
	}
	failed := r.Failed(8, executor.EncodeError(errors.New("failed")))
	if in := concert.InputOf(failed); in == nil || in.Index != 8 || !strings.Contains(failed.Error(), "failed") {
		t.Errorf("%v, %v", failed, in)
	}
}

// TestRecordingOf_NotRegistered: a function without a name must be refused.
func TestRecordingOf_NotRegistered(t *testing.T) {
	if _, err := executor.RecordingOf(func(context.Context, int) (int, error) { return 0, nil }); !errors.Is(err, executor.ErrNotRegistered) {
		t.Errorf("RecordingOf() = %v", err)
	}
}

// TestMapIndexed: results, errors and events must have the indexes of the
// inputs.
func TestMapIndexed(t *testing.T) {
	for _, remote := range []bool{false, true} {
		var events []int64
		observer := func(e executor.Event) {
			if e.Kind == executor.TaskFinished {
				events = append(events, e.Input.Index)
			}
		}
		var ex executor.Executor = goroutines.New(1, &goroutines.Options{Observer: observer})
		if remote {
			ex = loopback.New(1, loopback.Options{Observer: observer})
		}
		var got []int64
		executor.MapIndexed(t.Context(), ex, panicAt3, func(yield func(int64, int) bool) {
			for i := range 500 {
				if !yield(int64(10*i), i) {
					return
				}
			}
		})(func(index int64, out int, err error) bool {
			if in := concert.InputOf(err); (err != nil) != (index == 30) || err != nil && (in == nil || in.Index != 30) || err == nil && int64(out) != index/10 {
				t.Errorf("index %d: %d, %v, %v", index, out, err, in)
			}
			got = append(got, index)
			return len(got) < 400
		})
		ex.Close()
		seen := map[int64]bool{}
		for _, i := range got {
			seen[i] = true
		}
		if len(seen) != 400 {
			t.Errorf("remote %v: %d different indexes", remote, len(seen))
		}
		for _, i := range events {
			if i%10 != 0 {
				t.Errorf("remote %v: an event has the index %d", remote, i)
			}
		}
		if len(events) < 400 {
			t.Errorf("remote %v: %d events", remote, len(events))
		}
	}
}

var panicAt3 = concert.Register("executor_test.panicAt3", func(_ context.Context, n int) (int, error) {
	if n == 3 {
		panic("three")
	}
	return n, nil
})
