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

// slowHandler calls a function for the record of a death.
type slowHandler struct {
	slog.Handler
	handle func()
}

// Handle calls the function for the record of a death.
func (h slowHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "processes: a worker died" {
		h.handle()
	}
	return nil
}

// Enabled returns true.
func (slowHandler) Enabled(context.Context, slog.Level) bool { return true }

// TestClose_WaitsForDeathRecord: Close and Shutdown return after the pool has
// logged the death of a worker, even if the handler is slow.
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
				select { // a Close that does not wait for this record returns first
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
				t.Error("it ended before the death of a worker was logged")
			}
			close(ended)
		})
	}
}

// TestClose_LogHandlerHangs: Close returns although a handler does not.
func TestClose_LogHandlerHangs(t *testing.T) {
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
