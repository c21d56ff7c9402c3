package processes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"testing"

	"concert"
	"concert/processes"
)

var (
	exitAt17 = concert.Register("processes.exitAt17", func(_ context.Context, n int) (int, error) {
		if n == 17 {
			os.Exit(3)
		}
		return n, nil
	})
	exitWith = concert.Register("processes.exitWith", func(_ context.Context, code int) (int, error) { os.Exit(code); return 0, nil })
	speak    = concert.Register("processes.speak", func(_ context.Context, lines int) (int, error) {
		for i := range lines {
			fmt.Println("line", i)
		}
		return lines, nil
	})
)

// brokenHandler is a slog.Handler that fails in Handle.
type brokenHandler struct{ fail func() }

// Enabled, Handle, WithAttrs and WithGroup implement slog.Handler.
func (brokenHandler) Enabled(context.Context, slog.Level) bool    { return true }
func (h brokenHandler) Handle(context.Context, slog.Record) error { h.fail(); return nil }
func (h brokenHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h brokenHandler) WithGroup(string) slog.Handler             { return h }

// failures are functions that do not return normally.
var failures = map[string]func(){
	"panic":  func() { panic("out of paper") },
	"Goexit": runtime.Goexit,
}

// TestOutput_HandlerFails: if the handler panics or calls Goexit for a line or
// for the death of a worker, only log records may be lost: the tasks must have
// their outcomes.
func TestOutput_HandlerFails(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			p, err := processes.New(1, &processes.Options{Output: slog.New(brokenHandler{fail})})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			for range 3 {
				if n, err := concert.Submit(t.Context(), p, speak, 1000).Result(t.Context()); n != 1000 || err != nil {
					t.Errorf("Result() = %d, %v; want 1000", n, err)
				}
				_, err := concert.Submit(t.Context(), p, exitWith, 3).Result(t.Context())
				if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 3 {
					t.Errorf("Result() of a task that ends its worker: %v", err)
				}
			}
		})
	}
}

// TestRetry_Fails: if Options.Retry panics or calls Goexit, the task must
// not run again. Its error must contain not only the death of the worker,
// but also the panic or ErrGoexit.
func TestRetry_Fails(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			p, err := processes.New(1, &processes.Options{Retry: func(*processes.WorkerError, int) bool { fail(); return true }})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			_, err = concert.Submit(t.Context(), p, exitWith, 3).Result(t.Context())
			if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 3 {
				t.Errorf("Result() = %v, want a WorkerError", err)
			}
			e, ok := errors.AsType[*concert.PanicError](err)
			if name == "panic" && (!ok || e.Value != "out of paper") || name == "Goexit" && !errors.Is(err, concert.ErrGoexit) {
				t.Errorf("Result() = %v, want an error that also contains how Retry failed", err)
			}
			if n, err := concert.Submit(t.Context(), p, triple, 3).Result(t.Context()); n != 9 || err != nil {
				t.Errorf("Result() of the next task = %d, %v; want 9", n, err)
			}
		})
	}
}
