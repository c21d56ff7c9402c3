package opentelemetry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"concert"
	"concert/goroutines"
	"concert/internal/loopback"
	"concert/opentelemetry"
)

// recorder records the spans of a test.
type recorder struct {
	*sdktrace.TracerProvider
	*tracetest.InMemoryExporter
}

func newRecorder(t *testing.T) recorder {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { provider.Shutdown(context.Background()) })
	return recorder{provider, exporter}
}

// submitter starts the span of a submitter, which the test ends.
func (r recorder) submitter(t *testing.T) (context.Context, trace.Span) {
	return r.Tracer("test").Start(t.Context(), "submitter")
}

// named returns the ended spans with this name.
func (r recorder) named(name string) (list tracetest.SpanStubs) {
	for _, s := range r.GetSpans() {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

func value(s tracetest.SpanStub, key string) any {
	for _, a := range s.Attributes {
		if string(a.Key) == key {
			return a.Value.AsInterface()
		}
	}
	return nil
}

func events(s tracetest.SpanStub) (names []string) {
	for _, e := range s.Events {
		names = append(names, e.Name)
	}
	return names
}

// text returns the IDs of the trace and of the span of a span context.
func text(c trace.SpanContext) string { return c.TraceID().String() + " " + c.SpanID().String() }

// current returns the IDs of the trace and of the current span in the context
// of a function.
func current(ctx context.Context, _ int) (string, error) {
	return text(trace.SpanContextFromContext(ctx)), nil
}

var currentSpan = concert.Register("test.currentSpan", current)

var fails = concert.Register("test.fails", func(ctx context.Context, how string) (int, error) {
	switch how {
	case "panic":
		panic("at the disco")
	case "cancel":
		<-ctx.Done()
		return 0, ctx.Err()
	case "progress":
		concert.Progress(ctx, 1, 2)
		concert.Progress(ctx, 2, 2)
		return 0, nil
	}
	return 0, errors.New(how)
})

func locals() map[string]func() concert.Executor {
	return map[string]func() concert.Executor{
		"goroutines": func() concert.Executor { return goroutines.New(2, nil) },
		"loopback":   func() concert.Executor { return loopback.New(2, loopback.Options{}) },
	}
}

// TestTrace: each task must have a span. Its parent must be the submitter's
// span, and the function must see it as the current span.
func TestTrace(t *testing.T) {
	for name, make := range locals() {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(t)
			ex := make()
			defer ex.Close()
			stop := opentelemetry.Trace(r, "pool", ex)
			defer stop()
			ctx, parent := r.submitter(t)
			var seen []string
			one, err := concert.Submit(concert.WithLabel(ctx, "first"), ex, currentSpan, 1).Result(ctx)
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, one)
			for text, err := range concert.Map(ctx, ex, currentSpan, slices.Values([]int{1, 2, 3})) {
				if err != nil {
					t.Fatal(err)
				}
				seen = append(seen, text)
			}
			parent.End()
			spans := r.named("test.currentSpan")
			if len(spans) != 4 {
				t.Fatalf("%d spans, want 4: %v", len(spans), r.GetSpans())
			}
			indexes := map[any]int{}
			for _, s := range spans {
				if s.Parent.SpanID() != parent.SpanContext().SpanID() || s.Parent.TraceID() != parent.SpanContext().TraceID() {
					t.Errorf("the parent of the span is %v, want the span of the submitter", s.Parent)
				}
				if id := text(s.SpanContext); !slices.Contains(seen, id) {
					t.Errorf("no function saw the span %s, they saw %q", id, seen)
				}
				if value(s, "concert.executor.name") != "pool" || value(s, "code.function.name") != "test.currentSpan" || value(s, "concert.worker.id") == nil {
					t.Errorf("attributes %v", s.Attributes)
				}
				if !slices.Equal(events(s), []string{"concert.task.started"}) || s.Status.Code != codes.Unset {
					t.Errorf("events %q, status %v", events(s), s.Status)
				}
				indexes[value(s, "concert.input.index")]++
			}
			if want := map[any]int{nil: 1, int64(0): 1, int64(1): 1, int64(2): 1}; fmt.Sprint(indexes) != fmt.Sprint(want) {
				t.Errorf("indexes %v, want %v", indexes, want)
			}
			if value(spans[0], "concert.input.label") != "first" {
				t.Errorf("attributes %v, want the label", spans[0].Attributes)
			}
		})
	}
}

// TestTrace_Outcomes: the status and the events of a span must say how the
// task has ended.
func TestTrace_Outcomes(t *testing.T) {
	for name, make := range locals() {
		t.Run(name, func(t *testing.T) {
			r := newRecorder(t)
			ex := make()
			defer ex.Close()
			defer opentelemetry.Trace(r, "pool", ex)()
			rows := map[string]struct {
				kind   string
				events []string
			}{
				"of no use": {"*errors.errorString", []string{"concert.task.started", "exception"}},
				"panic":     {"panic", []string{"concert.task.started", "exception"}},
				"cancel":    {"canceled", []string{"concert.task.started", "exception"}},
				"progress":  {"", []string{"concert.task.started", "concert.task.progress", "concert.task.progress"}},
			}
			for how, want := range rows {
				r.Reset()
				fut := concert.Submit(t.Context(), ex, fails, how)
				if how == "cancel" {
					for fut.State() == concert.Pending {
						runtime.Gosched()
					}
					fut.Cancel()
				}
				_, err := fut.Result(t.Context())
				spans := r.named("test.fails")
				if len(spans) != 1 {
					t.Fatalf("%s: %d spans, want 1", how, len(spans))
				}
				s := spans[0]
				if how == "progress" && name == "loopback" { // its workers do not report progress
					want.events = want.events[:1]
				}
				if !slices.Equal(events(s), want.events) {
					t.Errorf("%s: events %q, want %q", how, events(s), want.events)
				}
				if want.kind == "" {
					if err != nil || s.Status.Code != codes.Unset || value(s, "error.type") != nil {
						t.Errorf("%s: %v, status %v", how, err, s.Status)
					}
					continue
				}
				if s.Status.Code != codes.Error || s.Status.Description != err.Error() || value(s, "error.type") != want.kind {
					t.Errorf("%s: status %v, error.type %v, want the error %q and %q", how, s.Status, value(s, "error.type"), err, want.kind)
				}
			}
		})
	}
}

// TestTrace_Texts: the texts of a span must be short and valid UTF-8, although
// a worker may send any text. Otherwise exporters would drop this span and
// others.
func TestTrace_Texts(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(r, "\xff", ex)()
	long := strings.Repeat("\xff", 1<<20)
	named := concert.Register(long, func(context.Context, int) (int, error) {
		return 0, &concert.RemoteError{Type: long, Text: long}
	})
	concert.Submit(concert.WithLabel(t.Context(), long), ex, named, 1).Result(t.Context())
	spans := r.GetSpans()
	if len(spans) != 1 {
		t.Fatalf("%d spans, want 1", len(spans))
	}
	s := spans[0]
	texts := append(slices.Clone(s.Attributes), attribute.String("name", s.Name), attribute.String("status", s.Status.Description))
	for _, e := range s.Events {
		texts = append(texts, e.Attributes...)
	}
	for _, a := range texts {
		if text := a.Value.AsString(); len(text) > 16<<10 || !utf8.ValidString(text) {
			t.Errorf("%s has %d bytes: %.20q", a.Key, len(text), text)
		}
	}
}

// TestTrace_NeverStarted: a task that is canceled in the queue must have a
// span without a worker.
func TestTrace_NeverStarted(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(r, "pool", ex)()
	busy := concert.Submit(t.Context(), ex, fails, "cancel")
	queued := concert.Submit(t.Context(), ex, currentSpan, 1)
	queued.Cancel()
	busy.Cancel()
	busy.Result(t.Context())
	queued.Result(t.Context())
	spans := r.named("test.currentSpan")
	if len(spans) != 1 || value(spans[0], "error.type") != "canceled" || !slices.Equal(events(spans[0]), []string{"exception"}) {
		t.Errorf("spans %v, want one of a canceled task", spans)
	}
}

// TestTrace_Stop: stop must end the spans of running tasks. Later tasks must
// have no spans.
func TestTrace_Stop(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	stop := opentelemetry.Trace(r, "pool", ex)
	busy := concert.Submit(t.Context(), ex, fails, "cancel")
	stop()
	stop()
	spans := r.named("test.fails")
	if len(spans) != 1 || !slices.Contains(events(spans[0]), "concert.trace.stopped") {
		t.Errorf("spans %v, want the one of the running task", spans)
	}
	busy.Cancel()
	busy.Result(t.Context())
	ctx, parent := r.submitter(t)
	seen, err := concert.Submit(ctx, ex, currentSpan, 1).Result(t.Context())
	if want := parent.SpanContext().SpanID().String(); !strings.HasSuffix(seen, want) || err != nil {
		t.Errorf("after stop, the function sees %q, %v; want the span of the submitter, %s", seen, err, want)
	}
	if n := len(r.GetSpans()); n != 1 {
		t.Errorf("%d spans, want 1", n)
	}
}

// TestTrace_Nested: if the function of a task submits another task, the span
// of the first task must be the parent of the span of the second task.
func TestTrace_Nested(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(r, "pool", ex)()
	outer := func(ctx context.Context, n int) (string, error) {
		return concert.Submit(ctx, ex, currentSpan, n).Result(ctx)
	}
	if _, err := concert.Submit(concert.WithLabel(t.Context(), "outer"), ex, outer, 1).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	inner := r.named("test.currentSpan")
	for _, s := range r.GetSpans() {
		if value(s, "concert.input.label") == "outer" && len(inner) == 1 && inner[0].Parent.SpanID() == s.SpanContext.SpanID() {
			return
		}
	}
	t.Errorf("spans %v, want one within the other", r.GetSpans())
}

// TestTrace_Two: if Trace is called twice for one executor, each call must
// make a span for a task.
func TestTrace_Two(t *testing.T) {
	a, b := newRecorder(t), newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(a, "a", ex)()
	defer opentelemetry.Trace(b, "b", ex)()
	seen, err := concert.Submit(t.Context(), ex, currentSpan, 1).Result(t.Context())
	if err != nil || len(a.GetSpans()) != 1 || len(b.GetSpans()) != 1 {
		t.Fatalf("%v, spans %v and %v", err, a.GetSpans(), b.GetSpans())
	}
	if want := a.GetSpans()[0].SpanContext.SpanID().String(); !strings.HasSuffix(seen, want) {
		t.Errorf("the function sees %s, want the span of the first trace, %s", seen, want)
	}
}

// brokenError is an error whose method panics.
type brokenError struct{}

func (brokenError) Error() string { panic("no text") }

// TestTrace_BrokenError: if the Error method of a task's error panics, the
// span must still get the status of an error and end.
func TestTrace_BrokenError(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(r, "pool", ex)()
	broken := func(context.Context, int) (int, error) { return 0, brokenError{} }
	concert.Submit(t.Context(), ex, broken, 1).Result(t.Context())
	if spans := r.GetSpans(); len(spans) != 1 || spans[0].Status.Code != codes.Error {
		t.Errorf("spans %v, want a failed one", spans)
	}
}
