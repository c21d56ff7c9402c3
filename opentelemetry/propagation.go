package opentelemetry

import (
	"context"
	"strings"

	otelpropagation "go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"concert/executor"
)

// Propagate makes this process send a span context with each call to a remote
// worker. If this process is a worker, it accepts the span contexts of all
// calls that it receives later. [Trace] calls Propagate. A program that does
// not use Trace calls Propagate itself. A worker must do so before it receives
// calls: at the beginning of main, or in the initializer of the pool.
func Propagate() { executor.SetTracing(propagation{}) }

// propagation implements executor.Tracing.
type propagation struct{}

// Within returns ctx with the span of the task, if it has one.
func (propagation) Within(ctx context.Context, task uint64) context.Context {
	if s := spanOf(task); s != nil {
		return trace.ContextWithSpan(ctx, s)
	}
	return ctx
}

// Inject returns a span context as text: the one of the task or, if the task
// has no span, the one of the span in ctx.
func (propagation) Inject(ctx context.Context, task uint64) string {
	if s := spanOf(task); s != nil {
		return format(s.SpanContext())
	}
	return format(trace.SpanContextFromContext(ctx))
}

// Extract parses a span context, and returns a context derived from ctx that
// has it. If the text is invalid, it returns ctx.
func (propagation) Extract(ctx context.Context, text string) context.Context {
	parent, state, _ := strings.Cut(text, " ")
	return otelpropagation.TraceContext{}.Extract(ctx, otelpropagation.MapCarrier{"traceparent": parent, "tracestate": state})
}

// spanOf returns the open span of the task with this number, or nil.
func spanOf(task uint64) trace.Span {
	if s, ok := spans.Load(task); task != 0 && ok {
		return s.(*taskSpan).Span
	}
	return nil
}

// format returns the W3C traceparent of a span context, and its tracestate. It
// leaves out the last entries of a long tracestate. The text is empty if the
// span context is invalid.
func format(c trace.SpanContext) string {
	if !c.IsValid() {
		return ""
	}
	text := "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + (c.TraceFlags() & (trace.FlagsSampled | flagRandom)).String()
	before := " "
	c.TraceState().Walk(func(key, value string) bool {
		entry := before + key + "=" + value
		if len(text)+len(entry) > executor.MaxTrace {
			return false
		}
		text, before = text+entry, ","
		return true
	})
	return text
}

// flagRandom is the flag of trace IDs whose lowest 7 bytes are random.
const flagRandom trace.TraceFlags = 2
