package processes_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// slowHandler is a log handler. It calls handle when the pool logs the death of
// a worker.
type slowHandler struct {
	slog.Handler
	handle func()
}

// Handle calls h.handle for a record about the death of a worker.
func (h slowHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "processes: a worker died" {
		h.handle()
	}
	return nil
}

// Enabled returns true.
func (slowHandler) Enabled(context.Context, slog.Level) bool { return true }

// TestClose_WaitsForDeathRecord: if the log handler is slow, Close and
// Shutdown must wait until the handler has handled the record of a worker's
// death.
func TestClose_WaitsForDeathRecord(t *testing.T) {
	for name, end := range map[string]func(*processes.Pool) error{
		"Close": (*processes.Pool).Close,
		"Shutdown": func(p *processes.Pool) error {
			return p.Shutdown(context.Background())
		},
		"Shutdown that cancels": func(p *processes.Pool) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			p.Shutdown(ctx)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			leftovers(t)
			var p *processes.Pool
			var logged atomic.Bool
			begun, ended := make(chan struct{}), make(chan struct{})
			h := slowHandler{slog.DiscardHandler, func() {
				close(begun)
				<-p.Gone()
				select { // a Close that does not wait for this record would return before the 100 ms are over
				case <-ended:
				case <-time.After(100 * time.Millisecond):
				}
				logged.Store(true)
			}}
			p, err := processes.New(1, &processes.Options{Output: slog.New(h)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := concert.Submit(t.Context(), p, misbehave, "exit 1").Result(t.Context()); err == nil {
				t.Error("no error")
			}
			<-begun
			if err := end(p); err != nil {
				t.Error(err)
			}
			if !logged.Load() {
				t.Error("Close or Shutdown returned before the death of the worker was logged")
			}
			close(ended)
		})
	}
}

// TestClose_LogHandlerHangs: if the log handler does not return, Close must
// still return.
func TestClose_LogHandlerHangs(t *testing.T) {
	t.Parallel()
	leftovers(t)
	release := make(chan struct{})
	h := slowHandler{slog.DiscardHandler, func() { <-release }}
	p, err := processes.New(1, &processes.Options{Output: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := concert.Submit(t.Context(), p, misbehave, "exit 1").Result(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	close(release)
}
