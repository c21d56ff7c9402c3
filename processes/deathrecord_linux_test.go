package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"concert"
	"concert/internal/logtest"
	"concert/processes"
)

// TestPool_DeathRecord: if a worker dies in a task, the log record must
// contain each fact only once: other attributes contain the task, its label
// and the worker, so the attribute reason must not repeat them.
func TestPool_DeathRecord(t *testing.T) {
	for name, row := range map[string]struct {
		task   string
		cause  error // cause of the task's context, which ends while the task runs
		reason string
	}{
		"exit":   {"exit 3", nil, "exited with code 3"},
		"signal": {"raise", nil, "died of a signal: segmentation fault"},
		"killed": {"spin", errors.New("out of patience"), "was killed: out of patience"},
	} {
		t.Run(name, func(t *testing.T) {
			leftovers(t)
			var log logtest.Buffer
			p := newPool(t, 1, &processes.Options{
				Output: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Grace:  -1,
			})
			ctx, cancel := context.WithCancelCause(concert.WithLabel(t.Context(), "a.png"))
			defer cancel(nil)
			f := concert.Submit(ctx, p, misbehave, row.task)
			if row.cause != nil {
				eventually(t, "the task runs", func() bool { return f.State() == concert.Running })
				cancel(row.cause)
			}
			_, err := f.Result(t.Context())
			e, ok := errors.AsType[*processes.WorkerError](err)
			if !ok {
				t.Fatalf("Result() = %v, want a WorkerError", err)
			}
			p.Close()
			records := log.Records(t, "processes: a worker died")
			if len(records) != 1 {
				t.Fatalf("records of deaths: %v, want one", records)
			}
			r := records[0]
			if r["reason"] != row.reason || r["task"] != "processes_test.misbehave" || r["label"] != "a.png" || r["worker"] != 0.0 || r["pid"] != float64(e.Pid) {
				t.Errorf("record %v, want the reason %q, and the task, label, worker and pid", r, row.reason)
			}
		})
	}
}
