package opentelemetry

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"concert"
	"concert/executor"
)

const (
	maxOpenSpans = 1 << 16  // maximum number of spans of one Trace that have not ended
	maxName      = 1 << 10  // maximum number of bytes of the name of a function, and of the type of an error
	maxLabel     = 256      // maximum number of bytes of a label in an attribute
	maxMessage   = 4 << 10  // maximum number of bytes of the text of an error
	maxStack     = 16 << 10 // maximum number of bytes of the stack of a panic
)

// Trace makes a span for each task that is submitted to the executor from now
// on, until stop is called. If a task is already in the queue, its span begins
// when the task starts. The spans have the parameter name as the name of the
// executor. The provider makes the spans; nil means the global provider. Trace
// calls [Propagate]. It panics if the executor is nil.
//
// stop ends the spans of tasks that have not ended. After that, the tasks
// continue without spans. stop may be called again.
func Trace(provider trace.TracerProvider, name string, ex concert.Executor) (stop func()) {
	if ex == nil {
		panic("opentelemetry: Trace: the executor is nil")
	}
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	Propagate()
	t := &tracer{
		tracer: provider.Tracer(reflect.TypeFor[tracer]().PkgPath()), executor: attribute.String(executorNameKey, strings.ToValidUTF8(name, "\uFFFD")),
		max: maxOpenSpans, open: map[uint64]*taskSpan{},
	}
	remove := ex.Watch(t.observe)
	return sync.OnceFunc(func() {
		remove()
		t.end()
	})
}

// tracer makes the spans of one executor.
type tracer struct {
	tracer   trace.Tracer
	executor attribute.KeyValue
	max      int // maximum number of open spans

	mu    sync.Mutex
	open  map[uint64]*taskSpan // guarded by mu: by the number of the task; nil after tracer.end
	order list.List            // guarded by mu: the *taskSpans of open, oldest first
}

// taskSpan is the span of a task that has not ended.
type taskSpan struct {
	trace.Span
	task    uint64
	element *list.Element // in tracer.order
}

// spans has the *taskSpan of each task that has one, by the number of the
// task. If two tracers make spans of the same task, the map has the span that
// was made first.
var spans sync.Map

func (t *tracer) observe(e concert.Event) {
	switch e.Kind {
	case concert.TaskSubmitted:
		t.start(e)
	case concert.TaskStarted:
		if s := t.start(e); s != nil && s.IsRecording() {
			worker := attribute.Int("concert.worker.id", e.Worker)
			s.SetAttributes(worker)
			s.AddEvent("concert.task.started", trace.WithTimestamp(e.Time), trace.WithAttributes(worker))
		}
	case concert.TaskProgress:
		if s := t.find(e.Task); s != nil && s.IsRecording() {
			s.AddEvent("concert.task.progress", trace.WithTimestamp(e.Time), trace.WithAttributes(
				attribute.Int64("concert.progress.done", e.Done), attribute.Int64("concert.progress.total", e.Total)))
		}
	case concert.TaskFinished:
		if s := t.remove(e.Task); s != nil {
			defer s.End(trace.WithTimestamp(e.Time)) // runs also if a method of the error panics
			if e.Err != nil && s.IsRecording() {
				fail(s, e)
			}
		}
	}
}

// start returns the span of the task. It makes the span if the task has none.
// After tracer.end, it returns nil.
func (t *tracer) start(e concert.Event) *taskSpan {
	if s := t.find(e.Task); s != nil {
		return s
	}
	ctx := e.Context
	if ctx == nil {
		ctx = context.Background()
	}
	name := shorten(e.Name, maxName)
	attributes := []attribute.KeyValue{t.executor, attribute.String("code.function.name", name)}
	if in := e.Input; in != nil {
		if in.Index >= 0 {
			attributes = append(attributes, attribute.Int64("concert.input.index", in.Index))
		}
		if in.Label != "" {
			attributes = append(attributes, attribute.String("concert.input.label", shorten(in.Label, maxLabel)))
		}
	}
	_, span := t.tracer.Start(ctx, name, trace.WithTimestamp(e.Time), trace.WithAttributes(attributes...))
	s := &taskSpan{Span: span, task: e.Task}
	lost := t.add(s)
	if lost != nil {
		lost.AddEvent("concert.task.forgotten")
		lost.End()
	}
	if lost == s {
		return nil
	}
	return s
}

// add stores an open span. If there are too many open spans, it removes the
// oldest span, and returns it. After tracer.end, it stores nothing, and
// returns s. The caller must end the returned span.
func (t *tracer) add(s *taskSpan) (lost *taskSpan) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return s
	}
	if len(t.open) >= t.max {
		lost = t.order.Front().Value.(*taskSpan)
		t.removeLocked(lost)
	}
	t.open[s.task] = s
	s.element = t.order.PushBack(s)
	spans.LoadOrStore(s.task, s)
	return lost
}

func (t *tracer) find(task uint64) *taskSpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open[task]
}

func (t *tracer) remove(task uint64) *taskSpan {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.open[task]
	if s != nil {
		t.removeLocked(s)
	}
	return s
}

func (t *tracer) removeLocked(s *taskSpan) {
	delete(t.open, s.task)
	t.order.Remove(s.element)
	spans.CompareAndDelete(s.task, s)
}

// end ends all open spans.
func (t *tracer) end() {
	t.mu.Lock()
	var left []*taskSpan
	for t.order.Len() > 0 {
		s := t.order.Front().Value.(*taskSpan)
		t.removeLocked(s)
		left = append(left, s)
	}
	t.open = nil
	t.mu.Unlock()
	for _, s := range left {
		s.AddEvent("concert.trace.stopped")
		s.End()
	}
}

// fail sets the status of a span to the error of the task, and adds the event
// that the conventions of OpenTelemetry require.
func fail(s trace.Span, e concert.Event) {
	s.SetStatus(codes.Error, "") // set again below with the text, unless a method of the error panics
	kind := typeOfError(e.Err)
	text := shorten(e.Err.Error(), maxMessage)
	exception := []attribute.KeyValue{attribute.String("exception.type", fmt.Sprintf("%T", e.Err)), attribute.String("exception.message", text)}
	var p *concert.PanicError
	if errors.As(e.Err, &p) && p.Stack() != "" {
		exception = append(exception, attribute.String("exception.stacktrace", shorten(p.Stack(), maxStack)))
	}
	s.SetAttributes(attribute.String(errorTypeKey, kind))
	s.AddEvent("exception", trace.WithTimestamp(e.Time), trace.WithAttributes(exception...))
	s.SetStatus(codes.Error, text)
}

// typeOfError returns the value of the attribute error.type. For an error of
// an executor, it is the same word as in the metrics. For other errors, it is
// the type of the error.
func typeOfError(err error) string {
	var p *concert.PanicError
	switch {
	case errors.As(err, &p), errors.Is(err, concert.ErrGoexit):
		return "panic"
	case errors.Is(err, concert.ErrCanceled), errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	if d, ok := errors.AsType[interface {
		error
		WorkerDied() bool
	}](err); ok && d.WorkerDied() {
		return "worker_death"
	}
	var r *concert.RemoteError
	if errors.As(err, &r) && r.Type != "" {
		return shorten(r.Type, maxName) // the worker may have sent any text
	}
	return fmt.Sprintf("%T", err)
}

// shorten returns at most limit bytes of a text, as valid UTF-8. An exporter
// cannot encode a text that is not UTF-8, and would drop all spans that it
// sends together.
func shorten(text string, limit int) string {
	if len(text) > limit {
		text = text[:limit-len("…")] + "…"
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}

var _ executor.Tracing = propagation{}
