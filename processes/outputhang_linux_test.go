package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// hangingHandler is a slog.Handler. The first call of one of its methods does
// not return before release is closed. The handler counts records.
type hangingHandler struct {
	method  string        // Enabled or Handle
	release chan struct{} // closed by the test
	first   sync.Once

	mu      sync.Mutex
	lines   int64         // lines that workers printed; guarded by mu
	dropped int64         // the sum of the records about dropped lines; guarded by mu
	deaths  int64         // guarded by mu
	changed chan struct{} // receives a value when dropped has changed
}

func newHangingHandler(method string) *hangingHandler {
	return &hangingHandler{method: method, release: make(chan struct{}), changed: make(chan struct{}, 10)}
}

// Enabled returns true.
func (h *hangingHandler) Enabled(context.Context, slog.Level) bool {
	h.hang("Enabled")
	return true
}

// Handle counts the record.
func (h *hangingHandler) Handle(_ context.Context, r slog.Record) error {
	h.hang("Handle")
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Message == "processes: a worker died" {
		h.deaths++
		return nil
	}
	about := false
	r.Attrs(func(a slog.Attr) bool {
		if about = a.Key == "dropped"; about {
			h.dropped += a.Value.Int64()
		}
		return true
	})
	if !about {
		h.lines++
		return nil
	}
	h.changed <- struct{}{}
	return nil
}

func (h *hangingHandler) hang(method string) {
	if method == h.method {
		h.first.Do(func() { <-h.release })
	}
}

// WithAttrs and WithGroup return the handler.
func (h *hangingHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h *hangingHandler) WithGroup(string) slog.Handler      { return h }

// TestOutput_HandlerHangs: if the handler does not return, all tasks must still
// end, even if they kill their worker, or print more than the pipe and all
// buffers can hold. When the handler returns, it must receive the exact number
// of dropped lines.
func TestOutput_HandlerHangs(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Enabled", "Handle"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			leftovers(t)
			h := newHangingHandler(method)
			p, err := processes.New(2, &processes.Options{Output: slog.New(h)})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			const each, tasks = 20_000, 4
			var futures []*concert.Future[string]
			for range tasks {
				futures = append(futures, concert.Submit(t.Context(), p, printMuch, each*100))
			}
			for _, f := range futures {
				if got, err := f.Result(t.Context()); got != "printed" || err != nil {
					t.Errorf("Result() = %q, %v; want printed", got, err)
				}
			}
			_, err = concert.Submit(t.Context(), p, exitWith, 3).Result(t.Context())
			if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 3 {
				t.Errorf("Result() of a task that ends its worker: %v", err)
			}
			if err := p.Close(); err != nil { // after this, the pool has read all output, and the handler still hangs
				t.Error(err)
			}
			close(h.release)
			<-h.changed
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.dropped == 0 || h.lines+h.deaths+h.dropped != each*tasks+1 {
				t.Errorf("%d lines and %d deaths handled, %d dropped; want %d in all, and some dropped", h.lines, h.deaths, h.dropped, each*tasks+1)
			}
		})
	}
}

// TestPool_DefaultHandlerHangs: without Options.Output, the pool logs the
// deaths of workers to the handler of slog.Default. If this handler does not
// return, tasks and Close must still return.
func TestPool_DefaultHandlerHangs(t *testing.T) {
	leftovers(t)
	h := newHangingHandler("Handle")
	defer slog.SetDefault(slog.Default())
	slog.SetDefault(slog.New(h))
	p, err := processes.New(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const deaths = 5
	for range deaths {
		_, err := concert.Submit(t.Context(), p, exitWith, 3).Result(t.Context())
		if e, ok := errors.AsType[*processes.WorkerError](err); !ok || e.ExitCode != 3 {
			t.Errorf("Result() of a task that ends its worker: %v", err)
		}
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	for p.StuckHandlers() == 0 { // Close may return before the pool notices that the handler is stuck
		time.Sleep(time.Millisecond)
	}
	close(h.release)
	<-h.changed
}
