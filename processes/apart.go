package processes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"concert"
)

// guardedLogger returns a logger that contains panics of the handler, and nil
// for nil.
func guardedLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(&guardedHandler{l.Handler(), new(sync.Once)})
}

// guardedHandler calls the handler of the program apart. The first failure is
// written to standard error, where it reaches a person even if the handler is that of all
// logging.
type guardedHandler struct {
	inner  slog.Handler
	failed *sync.Once
}

func (h *guardedHandler) guard(fn func()) {
	if _, err := concert.CallApart(0, func() struct{} { fn(); return struct{}{} }); err != nil {
		h.failed.Do(func() {
			text, _ := concert.CallApart(logTime, func() string { return fmt.Sprintf("%+v", err) })
			console.Lock()
			defer console.Unlock()
			fmt.Fprintln(os.Stderr, printable("processes: the handler of Options.Output failed; further failures are not shown: "+text))
		})
	}
}

// Enabled asks the program's handler. It reports false if that fails.
func (h *guardedHandler) Enabled(ctx context.Context, l slog.Level) (ok bool) {
	h.guard(func() { ok = h.inner.Enabled(ctx, l) })
	return ok
}

// Handle passes the record to the program's handler. If that fails, the record is
// lost.
func (h *guardedHandler) Handle(ctx context.Context, r slog.Record) (err error) {
	h.guard(func() { err = h.inner.Handle(ctx, r) })
	return err
}

// WithAttrs returns a guarded handler with the attributes, or without them if the
// program's handler fails.
func (h *guardedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	inner := h.inner
	h.guard(func() { inner = h.inner.WithAttrs(attrs) })
	return &guardedHandler{inner, h.failed}
}

// WithGroup returns a guarded handler with the group, or without it if the
// program's handler fails.
func (h *guardedHandler) WithGroup(name string) slog.Handler {
	inner := h.inner
	h.guard(func() { inner = h.inner.WithGroup(name) })
	return &guardedHandler{inner, h.failed}
}
