package opentelemetry

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"concert"
	"concert/executor"
)

func spanContext(t testing.TB, state string) trace.SpanContext {
	s, err := trace.ParseTraceState(state)
	if err != nil {
		t.Fatal(err)
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1, 2, 15: 3}, SpanID: trace.SpanID{4, 7: 5}, TraceFlags: trace.FlagsSampled, TraceState: s})
}

// TestPropagation: Extract must return the span context that Inject has
// written.
func TestPropagation(t *testing.T) {
	for state, text := range map[string]string{
		"":           "00-01020000000000000000000000000003-0400000000000005-01",
		"a=b,c@d=e ": "00-01020000000000000000000000000003-0400000000000005-01 a=b,c@d=e",
	} {
		c := spanContext(t, state)
		got := propagation{}.Inject(trace.ContextWithSpanContext(t.Context(), c), 0)
		if got != text {
			t.Errorf("Inject() = %q, want %q", got, text)
		}
		back := trace.SpanContextFromContext(propagation{}.Extract(t.Context(), got))
		if !back.Equal(c.WithRemote(true)) {
			t.Errorf("Extract(%q) = %v, want %v", got, back, c)
		}
	}
	if got := (propagation{}).Inject(t.Context(), 0); got != "" {
		t.Errorf("Inject() = %q without a span, want nothing", got)
	}
}

// TestPropagation_LongState: format must leave out the last entries of a long
// tracestate.
func TestPropagation_LongState(t *testing.T) {
	var entries []string
	for i := range 32 {
		entries = append(entries, fmt.Sprintf("vendor%d=%s", i, strings.Repeat("v", 40)))
	}
	c := spanContext(t, strings.Join(entries, ","))
	text := propagation{}.Inject(trace.ContextWithSpanContext(t.Context(), c), 0)
	if len(text) > executor.MaxTrace || len(text) < executor.MaxTrace-60 {
		t.Errorf("%d bytes, want at most %d", len(text), executor.MaxTrace)
	}
	back := trace.SpanContextFromContext(propagation{}.Extract(t.Context(), text))
	if back.SpanID() != c.SpanID() || back.TraceState().Get("vendor0") == "" || back.TraceState().Get("vendor31") != "" {
		t.Errorf("Extract(%q) = %v", text, back)
	}
}

// FuzzExtract: for any text, Extract must return either a context without a
// span, or a span context whose text Extract accepts again.
func FuzzExtract(f *testing.F) {
	for _, text := range []string{"", " ", "00-01020000000000000000000000000003-0400000000000005-01", "00-01020000000000000000000000000003-0400000000000005-01 a=b", "00-0-0-0", "00-00000000000000000000000000000000-0400000000000005-01", "01-01020000000000000000000000000003-0400000000000005-01-x =,="} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ctx := propagation{}.Extract(t.Context(), text)
		c := trace.SpanContextFromContext(ctx)
		if !c.IsValid() {
			return
		}
		back := trace.SpanContextFromContext(propagation{}.Extract(t.Context(), propagation{}.Inject(ctx, 0)))
		if back.SpanID() != c.SpanID() || back.TraceID() != c.TraceID() {
			t.Errorf("%q: %v, want %v", text, back, c)
		}
	})
}

// TestTracer_Bounded: if a tracer has too many open spans, it ends the oldest
// one. When the task of this span ends later, nothing may happen.
func TestTracer_Bounded(t *testing.T) {
	tr := &tracer{tracer: noop.NewTracerProvider().Tracer(""), max: 2, open: map[uint64]*taskSpan{}}
	for i := range uint64(5) {
		tr.observe(concert.Event{Kind: concert.TaskSubmitted, Task: 1<<60 + i, Context: context.Background()})
	}
	if len(tr.open) != 2 || tr.order.Len() != 2 || spanOf(1<<60) != nil || spanOf(1<<60+4) == nil {
		t.Errorf("%d open spans, want the last 2", len(tr.open))
	}
	tr.observe(concert.Event{Kind: concert.TaskFinished, Task: 1 << 60})
	tr.end()
	tr.observe(concert.Event{Kind: concert.TaskSubmitted, Task: 1<<60 + 9, Context: context.Background()})
	if len(tr.open) != 0 || tr.order.Len() != 0 || spanOf(1<<60+4) != nil || spanOf(1<<60+9) != nil {
		t.Errorf("%d open spans after the end", len(tr.open))
	}
}

// TestTypeOfError: the type of an error of an executor must be the same word
// as in the metrics, also if another error wraps it.
func TestTypeOfError(t *testing.T) {
	for want, err := range map[string]error{
		"timeout": context.DeadlineExceeded, "canceled": context.Canceled, "panic": concert.ErrGoexit, "worker_death": executor.WorkerDeath("gone"),
	} {
		for _, err := range []error{err, fmt.Errorf("task 7: %w", err)} {
			if got := typeOfError(err); got != want {
				t.Errorf("%v: error.type is %q, want %q", err, got, want)
			}
		}
	}
	if got := typeOfError(&concert.RemoteError{Type: "builtins.ValueError"}); got != "builtins.ValueError" {
		t.Errorf("error.type is %q, want the type in the worker", got)
	}
}
