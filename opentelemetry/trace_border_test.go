package opentelemetry_test

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"concert"
	"concert/cluster"
	"concert/cluster/server"
	"concert/goroutines"
	"concert/loop"
	"concert/opentelemetry"
	"concert/processes"
	"concert/python"
)

func init() {
	opentelemetry.Propagate() // also in the worker processes of the tests
}

var crashes = concert.Register("test.crashes", func(_ context.Context, file string) (int, error) {
	if file != "" && os.Remove(file) != nil {
		return 4, nil // this is the second attempt
	}
	os.Exit(7)
	return 0, nil
})

func newProcesses(t *testing.T, o processes.Options) *processes.Pool {
	o.Output = slog.New(slog.DiscardHandler)
	p, err := processes.New(2, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// checkSpan tests that there is exactly one span with the given name, and that
// it has the given parent. It returns the span.
func checkSpan(t *testing.T, r recorder, name string, parent trace.SpanContext) tracetest.SpanStub {
	t.Helper()
	spans := r.named(name)
	if len(spans) != 1 {
		t.Fatalf("%d spans named %s, want 1", len(spans), name)
	}
	if p := spans[0].Parent; p.SpanID() != parent.SpanID() || p.TraceID() != parent.TraceID() {
		t.Errorf("the parent of the span is %s of trace %s, want %s of %s", p.SpanID(), p.TraceID(), parent.SpanID(), parent.TraceID())
	}
	return spans[0]
}

// TestTrace_Processes: a function in a worker process must see the span of its
// task. In a Map, it must see the span of the caller.
func TestTrace_Processes(t *testing.T) {
	r := newRecorder(t)
	p := newProcesses(t, processes.Options{})
	ctx, parent := r.submitter(t)
	stop := opentelemetry.Trace(r, "pool", p)
	got, err := concert.Submit(ctx, p, currentSpan, 1).Result(t.Context())
	s := checkSpan(t, r, "test.currentSpan", parent.SpanContext())
	if want := text(s.SpanContext); got != want || err != nil {
		t.Errorf("the function sees %q, %v; want its task's span, %q", got, err, want)
	}
	r.Reset()
	for got, err := range concert.Map(ctx, p, currentSpan, slices.Values(make([]int, 200))) {
		if want := text(parent.SpanContext()); got != want || err != nil {
			t.Fatalf("the function sees %q, %v; want the span of the caller, %q", got, err, want)
		}
	}
	spans := r.named("test.currentSpan")
	if len(spans) != 200 || slices.ContainsFunc(spans, func(s tracetest.SpanStub) bool { return s.Parent.SpanID() != parent.SpanContext().SpanID() }) {
		t.Errorf("%d spans, want 200 whose parent is the span of the caller", len(spans))
	}
	stop()
	if got, err := concert.Submit(ctx, p, currentSpan, 1).Result(t.Context()); got != text(parent.SpanContext()) || err != nil {
		t.Errorf("without Trace, the function sees %q, %v; want the submitter's span", got, err)
	}
	if got, err := concert.Submit(t.Context(), p, currentSpan, 1).Result(t.Context()); strings.Trim(got, "0 ") != "" || err != nil {
		t.Errorf("without a span, the function sees %q, %v", got, err)
	}
}

// TestTrace_Crash: the span of a task must say that its worker has died. If
// the task runs again, the span must have only one start.
func TestTrace_Crash(t *testing.T) {
	r := newRecorder(t)
	p := newProcesses(t, processes.Options{Retry: func(_ *processes.WorkerError, ran int) bool { return ran < 2 }})
	defer opentelemetry.Trace(r, "pool", p)()
	ctx, parent := r.submitter(t)
	_, err := concert.Submit(ctx, p, crashes, "").Result(t.Context())
	s := checkSpan(t, r, "test.crashes", parent.SpanContext())
	if err == nil || s.Status.Code != codes.Error || value(s, "error.type") != "worker_death" {
		t.Errorf("%v: status %v, error.type %v", err, s.Status, value(s, "error.type"))
	}
	r.Reset()
	file := t.TempDir() + "/first"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := concert.Submit(ctx, p, crashes, file).Result(t.Context()); got != 4 || err != nil {
		t.Fatal(got, err)
	}
	s = checkSpan(t, r, "test.crashes", parent.SpanContext())
	if names := events(s); !slices.Equal(names, []string{"concert.task.started"}) || s.Status.Code != codes.Unset {
		t.Errorf("events %q, status %v", names, s.Status)
	}
}

// TestTrace_CanceledProcess: if a task is canceled while it runs in a worker
// process, its span must end with the task.
func TestTrace_CanceledProcess(t *testing.T) {
	r := newRecorder(t)
	p := newProcesses(t, processes.Options{})
	started := make(chan struct{})
	once := sync.OnceFunc(func() { close(started) })
	defer p.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskStarted {
			once()
		}
	})()
	defer opentelemetry.Trace(r, "pool", p)()
	ctx, parent := r.submitter(t)
	fut := concert.Submit(ctx, p, fails, "cancel")
	<-started
	fut.Cancel()
	fut.Result(t.Context())
	if s := checkSpan(t, r, "test.fails", parent.SpanContext()); value(s, "error.type") != "canceled" || value(s, "concert.worker.id") == nil {
		t.Errorf("attributes %v", s.Attributes)
	}
}

var pythonSpan = python.Source[int, string]("python_span", `
import concert

def python_span(n):
    return concert.traceparent()
`)

func newPython(t *testing.T) *processes.Pool {
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip(err)
	}
	p, err := python.New(1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func traceparent(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-01"
}

// TestTrace_Python: a Python function must see the span of its task.
func TestTrace_Python(t *testing.T) {
	r := newRecorder(t)
	p := newPython(t)
	defer opentelemetry.Trace(r, "python", p)()
	ctx, parent := r.submitter(t)
	got, err := concert.Submit(ctx, p, pythonSpan, 1).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spans := r.GetSpans()
	if len(spans) != 1 || spans[0].Parent.SpanID() != parent.SpanContext().SpanID() || got != traceparent(spans[0].SpanContext) {
		t.Errorf("the function sees %q, and the spans are %v", got, spans)
	}
	for got, err := range concert.Map(ctx, p, pythonSpan, slices.Values(make([]int, 50))) {
		if want := traceparent(parent.SpanContext()); got != want || err != nil {
			t.Fatalf("in a Map, the function sees %q, %v; want the span of the caller, %q", got, err, want)
		}
	}
}

// TestTrace_Loop: the span of a coroutine must be the parent of the spans of
// tasks that it offloads.
func TestTrace_Loop(t *testing.T) {
	r := newRecorder(t)
	ex := goroutines.New(1, nil)
	defer ex.Close()
	defer opentelemetry.Trace(r, "pool", ex)()
	ctx, outer := r.submitter(t)
	err := loop.Run(ctx, nil, func(ctx context.Context, g *loop.Group) error {
		if got := trace.SpanContextFromContext(ctx); !got.Equal(outer.SpanContext()) {
			t.Errorf("the coroutine sees %v, want the span outside of the loop", got)
		}
		ctx, span := r.Tracer("test").Start(ctx, "coroutine")
		defer span.End()
		got, err := loop.Offload(ctx, ex, currentSpan, 1)
		s := checkSpan(t, r, "test.currentSpan", span.SpanContext())
		if want := text(s.SpanContext); got != want {
			t.Errorf("the function sees %q, want its task's span, %q", got, want)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// newCluster returns a client of a server in this process, with one worker that
// runs tasks on the pool.
func newCluster(t *testing.T, pool concert.Executor, functions ...string) *cluster.Executor {
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	access := cluster.Access{InProcess: s}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := cluster.Serve(ctx, "", pool, &cluster.ServeOptions{Access: access, Functions: functions, Notice: func(string) {}}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); serving.Wait() })
	ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: access, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	return ex
}

// TestTrace_Cluster: the span of a task in the client must be the parent of
// the span of the task in the worker. The function must see the span in the
// worker. This must also hold for the items of a Map.
func TestTrace_Cluster(t *testing.T) {
	client, worker := newRecorder(t), newRecorder(t)
	pool := goroutines.New(2, nil)
	t.Cleanup(func() { pool.Close() })
	defer opentelemetry.Trace(worker, "worker", pool)()
	ex := newCluster(t, pool)
	stop := opentelemetry.Trace(client, "cluster", ex)
	ctx, parent := client.submitter(t)
	got, err := concert.Submit(ctx, ex, currentSpan, 1).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := checkSpan(t, client, "test.currentSpan", parent.SpanContext())
	there := checkSpan(t, worker, "test.currentSpan", s.SpanContext)
	if want := text(there.SpanContext); got != want || !there.Parent.IsRemote() {
		t.Errorf("the function sees %q, want the span in the worker, %q", got, want)
	}
	client.Reset()
	worker.Reset()
	for _, err := range concert.Map(ctx, ex, currentSpan, slices.Values([]int{1, 2, 3})) {
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := map[any]trace.SpanID{}
	for _, s := range client.named("test.currentSpan") {
		ids[value(s, "concert.input.index")] = s.SpanContext.SpanID()
	}
	for _, s := range worker.named("test.currentSpan") {
		if index := value(s, "concert.input.index"); s.Parent.SpanID() != ids[index] {
			t.Errorf("item %v: the parent of the span in the worker is %s, want the item's span, %s", index, s.Parent.SpanID(), ids[index])
		}
	}
	if len(ids) != 3 || len(worker.named("test.currentSpan")) != 3 {
		t.Errorf("spans of %d items, want 3", len(ids))
	}
	stop()
	worker.Reset()
	if _, err := concert.Submit(ctx, ex, currentSpan, 1).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkSpan(t, worker, "test.currentSpan", parent.SpanContext())
}

// TestTrace_ClusterPython: a worker of a cluster must pass the span to its
// Python interpreters.
func TestTrace_ClusterPython(t *testing.T) {
	r := newRecorder(t)
	ex := newCluster(t, newPython(t), python.Names("concert:traceparent")...)
	defer opentelemetry.Trace(r, "cluster", ex)()
	ctx, parent := r.submitter(t)
	got, err := concert.Submit(ctx, ex, python.Func[python.None, string]("concert:traceparent"), python.None{}).Result(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	spans := r.GetSpans()
	if len(spans) != 1 || spans[0].Parent.SpanID() != parent.SpanContext().SpanID() || got != traceparent(spans[0].SpanContext) {
		t.Errorf("the function sees %q, and the spans are %v", got, spans)
	}
}
