package processes_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/executor"
	"concert/internal/logtest"
	"concert/processes"
)

// TestWorkerError_Input: if one of many inputs kills its worker, the error and
// the log must name the input.
func TestWorkerError_Input(t *testing.T) {
	var log logtest.Buffer
	p, err := processes.New(2, &processes.Options{Output: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	codes := slices.Repeat([]int{0}, 40)
	for i := range codes {
		codes[i] = i
	}
	ctx := concert.WithInputLabels(t.Context(), func(code int) string { return "file" + string(rune('a'+code%26)) })
	for got, err := range concert.MapIndexed(ctx, p, exitAt17, slices.Values(codes)) {
		if got.Index != 17 {
			if err != nil || got.Value != int(got.Index) {
				t.Errorf("input %d gave %d, %v", got.Index, got.Value, err)
			}
			continue
		}
		e, ok := errors.AsType[*processes.WorkerError](err)
		if !ok || e.Input == nil || e.Input.Index != 17 || e.Input.Label != "filer" {
			t.Errorf("the error of input 17 is %v, the WorkerError is %+v", err, e)
		}
		if want := "processes: processes.exitAt17: input 17 (filer): worker "; ok && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the error says %q; want that it begins with %q", err, want)
		}
	}
	_, err = concert.Submit(concert.WithLabel(t.Context(), "one"), p, exitAt17, 17).Result(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "processes: processes.exitAt17 (one): worker ") {
		t.Errorf("the error of a task with a label says %q", err)
	}
	_, err = concert.Submit(t.Context(), p, exitAt17, 17).Result(t.Context())
	if err == nil || !strings.HasPrefix(err.Error(), "processes: processes.exitAt17: worker ") {
		t.Errorf("the error of a task without a label says %q", err)
	}
	p.Close()
	if text := log.String(); !strings.Contains(text, "task=processes.exitAt17 input=17 label=filer") {
		t.Errorf("the log does not say which input it was:\n%s", text)
	}
}

// TestInputOf_RetryPanics: if the worker of a task died and Options.Retry
// panicked, InputOf must still find the input in the error of the task.
func TestInputOf_RetryPanics(t *testing.T) {
	for name, retry := range map[string]func(*processes.WorkerError, int) bool{
		"no Retry": nil, "a Retry that panics": func(*processes.WorkerError, int) bool { panic("out of cheese") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, &processes.Options{Output: slog.New(slog.DiscardHandler), Retry: retry})
			_, err := concert.Submit(concert.WithLabel(t.Context(), "one"), p, exitAt17, 17).Result(t.Context())
			if in := concert.InputOf(err); in == nil || *in != (concert.Input{Name: "processes.exitAt17", Index: -1, Label: "one"}) {
				t.Errorf("InputOf(%v) = %+v", err, in)
			}
			if n := strings.Count(err.Error(), "processes.exitAt17 (one)"); n != 1 {
				t.Errorf("the error %q names the input %d times", err, n)
			}
		})
	}
}

// TestRelay_InputInLogAndError: if a relayed call kills its worker, the log
// and the error must contain the input of the call. Another program has
// submitted the call, and knows the call by this input.
func TestRelay_InputInLogAndError(t *testing.T) {
	var log logtest.Buffer
	p, err := processes.New(1, &processes.Options{Output: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	name, arg, err := executor.Prepare(exitAt17, 17)
	if err != nil {
		t.Fatal(err)
	}
	in := &concert.Input{Name: name, Index: 3, Label: "cat.jpg"}
	_, err = executor.Relay(t.Context(), p, executor.Call{Name: name, Arg: arg, Input: in}).Result(t.Context())
	if of := concert.InputOf(err); of == nil || *of != *in {
		t.Errorf("InputOf(%v) = %+v, want %+v", err, of, in)
	}
	p.Close()
	if text := log.String(); !strings.Contains(text, "task=processes.exitAt17 input=3 label=cat.jpg") {
		t.Errorf("the log does not say which input it was:\n%s", text)
	}
}
