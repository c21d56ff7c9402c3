package processes_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"concert"
	"concert/processes"
)

// TestWorkerError_Input: of many inputs one kills its worker: the error and the
// log say which.
func TestWorkerError_Input(t *testing.T) {
	var mu sync.Mutex
	var log strings.Builder
	p, err := processes.New(2, &processes.Options{Output: slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil))})
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
			t.Errorf("the error of input 17: %v, of %+v", err, e)
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
	mu.Lock()
	defer mu.Unlock()
	if text := log.String(); !strings.Contains(text, "task=processes.exitAt17 input=17 label=filer") {
		t.Errorf("the log does not say which input it was:\n%s", text)
	}
}

// lockedWriter is a writer for several goroutines.
type lockedWriter struct {
	mu *sync.Mutex
	b  *strings.Builder // guarded by mu
}

// Write appends to the builder.
func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}
