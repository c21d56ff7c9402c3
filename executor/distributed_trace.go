package executor

import (
	"context"
	"sync/atomic"
)

// This file connects tasks with a library for distributed tracing, such as
// OpenTelemetry, without importing one. The steps, for a task of an executor
// whose observer makes spans:
//
//	TaskSubmitted   the observer makes a span; Event.Context has its parent
//	Within          a worker of this process: the function gets a context with the span
//	Inject          a remote worker: the span becomes a text, which is sent with the call
//	Extract         in the remote worker: the function gets a context with the span of the text
//	TaskFinished    the observer ends the span
//
// Without an observer, the submitter's span takes the place of the task's span:
// contexts of tasks have the values of the submitter's context anyway, and
// Inject finds it there. The items of a Map share one text, for the span of the
// caller of Map, so that a frame of many calls contains it once.

// Tracing has the functions that executors call for a library for distributed
// tracing. They are called on goroutines of submitters and of tasks.
// [Batch.CallTrace] calls Inject on the goroutine of its caller. The functions
// must return soon and be safe for concurrent use. If one panics, the task runs
// without its span.
type Tracing interface {
	// Within returns the context with which the function of a task is called.
	// ctx is the context that the function would get otherwise. task is the
	// number of the task, as in [Event].
	Within(ctx context.Context, task uint64) context.Context

	// Inject returns the text that remote workers receive with a call. If the
	// task with this number has a span, the text is for this span. Otherwise it
	// is for the span in ctx. The number is 0 for the caller of a Map, and for
	// a task without observers. The text has at most [MaxTrace] bytes: a W3C
	// traceparent, and then, if there is a tracestate, a space and the
	// tracestate. If there is no span, the text is empty.
	Inject(ctx context.Context, task uint64) string

	// Extract is called in the worker. It returns ctx with the span of a text
	// that Inject has returned. The text comes from another process, so it may
	// be invalid. Then Extract returns ctx. Extract must make its context with
	// [context.WithValue]: a context of any other type is ignored.
	Extract(ctx context.Context, trace string) context.Context
}

// MaxTrace is the maximum size in bytes of a text that Tracing.Inject returns.
// A longer text is not sent. Nor is a text with characters that are not
// printable ASCII.
const MaxTrace = 512

var tracing atomic.Pointer[Tracing]

// SetTracing sets the functions for distributed tracing in this process, or
// removes them if t is nil. It concerns the tasks that are submitted, and the
// calls that begin, from then on. Package opentelemetry calls it.
func SetTracing(t Tracing) {
	if t == nil {
		tracing.Store(nil)
		return
	}
	tracing.Store(&t)
}

// ExtractTrace returns the context with which a remote worker calls a function.
// trace is the text that the worker has received with the call, or "". If the
// text is longer than [MaxTrace], or has characters that are not printable
// ASCII, or if this process has no [Tracing], ExtractTrace returns ctx.
func ExtractTrace(ctx context.Context, trace string) context.Context {
	if h := tracing.Load(); h != nil && validTrace(trace) {
		return withSpan(ctx, func() context.Context { return (*h).Extract(ctx, trace) })
	}
	return ctx
}

// within returns the context for the function of a task with this number. The
// number is 0 if the task has no observers.
func within(ctx context.Context, number uint64) context.Context {
	if h := tracing.Load(); h != nil && number != 0 {
		return withSpan(ctx, func() context.Context { return (*h).Within(ctx, number) })
	}
	return ctx
}

// withSpan returns the context that a method of Tracing returns. If the
// method panics, returns nil, or returns a foreign context although ctx is
// not foreign, withSpan returns ctx. Then the task runs without its span.
func withSpan(ctx context.Context, method func() context.Context) (with context.Context) {
	defer func() {
		if recover() != nil || with == nil || foreign(with) && !foreign(ctx) {
			with = ctx
		}
	}()
	return method()
}

// validTrace reports whether a text for distributed tracing may be sent to a
// worker, and given to a function. A text of another process may contain
// anything. Functions write the text into headers of requests, so it must
// not contain a line break.
func validTrace(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return text != "" && len(text) <= MaxTrace
}

// inject returns the text for the span of a task, or for the span in ctx. It
// calls methods of ctx, which may be code of the program. So it must run on a
// goroutine of the submitter. If a method panics, the text is empty.
func inject(ctx context.Context, number uint64) (trace string) {
	h := tracing.Load()
	if h == nil {
		return ""
	}
	defer func() {
		if recover() != nil || !validTrace(trace) {
			trace = ""
		}
	}()
	return (*h).Inject(ctx, number)
}

// setTrace stores the text that workers receive with the call. It is called
// before another goroutine has the task.
func (c *call[In, Out]) setTrace(trace string) {
	if trace != "" {
		c.extra = &extra{trace: trace}
	}
}

// extra has the fields that few calls need.
type extra struct {
	// encoded is the call in the form that is sent to a worker, if user code
	// encoded the argument. It is written and read only while the task is in
	// state copying.
	encoded *single
	trace   string // the text for distributed tracing
}

// setTrace does nothing: the runners of a Map have no text of their own.
func (r *runner[In, Out]) setTrace(string) {}
