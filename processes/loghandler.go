package processes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"concert"
	"concert/executor"
	"concert/internal/printable"
)

// guardedLogger returns a logger that calls the handler of l through a
// handlerGuard, or nil if l is nil. name is the name of the handler in
// messages.
func guardedLogger(l *slog.Logger, name string) *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(&guardedHandler{l.Handler(), &handlerGuard{name: name}})
}

// handlerGuard protects the pool from a slog.Handler of the program, which may
// panic, call runtime.Goexit, or never return. The guard calls the handler on
// another goroutine. The steps of a call are:
//
//  1. callHandler waits until the handler returns. So the lines of a worker
//     stay in order.
//  2. If the handler does not return within logTime, the call is stuck.
//     callHandler then returns, although the call has not ended.
//  3. While a call is stuck, the guard drops further lines. Otherwise the
//     handler would delay each task that prints.
//  4. When the last stuck call returns, the guard logs the number of dropped
//     lines.
//
// The guard writes a line to standard error when the handler fails for the
// first time, and each time that the handler is stuck. It does not log these
// lines, because the program may have no other handler.
type handlerGuard struct {
	name    string
	failed  sync.Once    // for writing only the first failure
	stuck   atomic.Int32 // number of stuck calls
	dropped atomic.Int64 // number of lines that were dropped since stuck was 0
}

// callHandler calls fn, a method of the handler, and returns its result. It
// reports false if fn failed, did not return within logTime, or was not called.
// If fn does not return within logTime, callHandler adds lost to the number of
// dropped lines.
func callHandler[T any](h *guardedHandler, lost int64, fn func() T) (v T, ok bool) {
	g := h.guard
	if g.stuck.Load() > 0 {
		g.dropped.Add(1)
		return v, false
	}
	done := make(chan struct{})
	v, err := executor.CallIsolated(logTime, func() T {
		defer close(done)
		return fn()
	})
	_, panicked := errors.AsType[*concert.PanicError](err)
	switch {
	case err == nil:
		return v, true
	case panicked || err == concert.ErrGoexit:
		g.failed.Do(func() {
			text, _ := executor.CallIsolated(logTime, func() string { return fmt.Sprintf("%+v", err) })
			g.report("processes: %s failed; further failures are not shown: %s", g.name, text)
		})
		return v, false
	}
	g.dropped.Add(lost)
	if g.stuck.Add(1) == 1 {
		g.report("processes: %s has not returned after %v; until it returns, the pool drops lines and log records", g.name, logTime)
	}
	go func() {
		<-done
		if g.stuck.Add(-1) == 0 {
			slog.New(h).Warn("processes: "+g.name+" has returned", "dropped", g.dropped.Swap(0))
		}
	}()
	return v, false
}

// report writes a line to standard error. If the write blocks, report returns
// after logTime.
func (g *handlerGuard) report(format string, args ...any) {
	executor.CallIsolated(logTime, func() struct{} {
		console.Lock()
		defer console.Unlock()
		fmt.Fprintln(os.Stderr, printable.Text(fmt.Sprintf(format, args...)))
		return struct{}{}
	})
}

// guardedHandler calls a handler of the program through its guard.
type guardedHandler struct {
	inner slog.Handler
	guard *handlerGuard
}

// Enabled calls the program's handler. If the call fails, it reports false.
func (h *guardedHandler) Enabled(ctx context.Context, l slog.Level) bool {
	enabled, _ := callHandler(h, 1, func() bool { return h.inner.Enabled(ctx, l) })
	return enabled
}

// Handle passes the record to the program's handler. If the call fails, the
// record is lost.
func (h *guardedHandler) Handle(ctx context.Context, r slog.Record) error {
	err, _ := callHandler(h, 0, func() error { return h.inner.Handle(ctx, r) })
	return err
}

// WithAttrs returns a guarded handler with the attributes, or without them if
// the program's handler fails.
func (h *guardedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.with(func() slog.Handler { return h.inner.WithAttrs(attrs) })
}

// WithGroup returns a guarded handler with the group, or without it if the
// program's handler fails.
func (h *guardedHandler) WithGroup(name string) slog.Handler {
	return h.with(func() slog.Handler { return h.inner.WithGroup(name) })
}

func (h *guardedHandler) with(derive func() slog.Handler) slog.Handler {
	inner, ok := callHandler(h, 0, derive)
	if !ok || inner == nil {
		inner = h.inner
	}
	return &guardedHandler{inner, h.guard}
}
