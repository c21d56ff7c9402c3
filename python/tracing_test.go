package python_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"concert"
	"concert/executor"
	"concert/python"
)

// fixedTrace is a Tracing. The value of a context for traceKey is the text
// of the span to which the context belongs.
type fixedTrace struct{}

type traceKey struct{}

func (fixedTrace) Within(ctx context.Context, task uint64) context.Context { return ctx }

func (fixedTrace) Inject(ctx context.Context, task uint64) string {
	text, _ := ctx.Value(traceKey{}).(string)
	return text
}

func (fixedTrace) Extract(ctx context.Context, trace string) context.Context { return ctx }

func traced(t *testing.T, text string) context.Context {
	executor.SetTracing(fixedTrace{})
	t.Cleanup(func() { executor.SetTracing(nil) })
	return context.WithValue(t.Context(), traceKey{}, text)
}

const parent = "00-01020000000000000000000000000003-0400000000000005-01"

// spanOf returns four texts about the span of its task: the traceparent, the
// tracestate, the traceparent in a thread of the task, and the current span
// of the package opentelemetry.
var spanOf = python.Source[int, [4]*string]("span_of", `
import concert, sys, threading

def span_of(n):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(concert.traceparent()))
    thread.start()
    thread.join()
    api = sys.modules.get("opentelemetry.context")
    return concert.traceparent(), concert.tracestate(), seen[0], (getattr(api, "current", None) or [None])[-1]
`)

var spanOfCoroutine = python.Source[int, string]("span_of_coroutine", `
import concert, asyncio

async def span_of_coroutine(n):
    await asyncio.sleep(0)
    return concert.traceparent()
`)

var traceparent = python.Source[int, *string]("traceparent", `
import concert

def traceparent(n):
    return concert.traceparent()
`)

// TestTracing: a Python function must find the span of its task. If the task
// has no span, the function must find none.
func TestTracing(t *testing.T) {
	ctx := traced(t, parent+" a=b")
	for name, o := range map[string]*python.Options{"one thread": {}, "threads": {Threads: 2}} {
		t.Run(name, func(t *testing.T) {
			p := newPool(t, 1, o)
			for range 2 {
				got, err := concert.Submit(ctx, p, spanOf, 1).Result(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if *got[0] != parent || *got[1] != "a=b" || got[3] != nil || (got[2] == nil || *got[2] != parent) != (o.Threads > 1) {
					t.Errorf("the task sees %q", texts(got[:]...))
				}
				got, err = concert.Submit(t.Context(), p, spanOf, 1).Result(t.Context())
				if err != nil || got != [4]*string{} {
					t.Errorf("without a span, the task sees %q, %v", texts(got[:]...), err)
				}
			}
			if got, err := concert.Submit(ctx, p, spanOfCoroutine, 1).Result(t.Context()); got != parent || err != nil {
				t.Errorf("the coroutine sees %q, %v", got, err)
			}
			for got, err := range concert.Map(ctx, p, traceparent, slices.Values(make([]int, 3000))) {
				if err != nil || got == nil || *got != parent {
					t.Fatalf("the call of a Map sees %q, %v", texts(got), err)
				}
			}
		})
	}
}

func texts(all ...*string) (list []string) {
	for _, s := range all {
		if s == nil {
			list = append(list, "None")
		} else {
			list = append(list, *s)
		}
	}
	return list
}

// TestTracing_Package: during a call, the span of the call must be the
// current span of the package opentelemetry. The test imitates this package.
// If the package fails, the task must not fail.
func TestTracing_Package(t *testing.T) {
	ctx := traced(t, parent)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"__init__.py":                       "",
		"context.py":                        "current = []\ndef attach(c):\n    current.append(c)\n    return len(current) - 1\ndef detach(token):\n    del current[token:]\n",
		"trace/__init__.py":                 "",
		"trace/propagation/__init__.py":     "",
		"trace/propagation/tracecontext.py": "class TraceContextTextMapPropagator:\n    def extract(self, carrier):\n        return 'span of ' + carrier['traceparent']\n",
	} {
		file := filepath.Join(dir, "opentelemetry", name)
		os.MkdirAll(filepath.Dir(file), 0o700)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newPool(t, 1, &python.Options{Path: []string{dir}})
	for range 2 {
		got, err := concert.Submit(ctx, p, spanOf, 1).Result(t.Context())
		if err != nil || got[3] == nil || *got[3] != "span of "+parent {
			t.Errorf("the task sees %q, %v", texts(got[:]...), err)
		}
		if got, err := concert.Submit(t.Context(), p, spanOf, 1).Result(t.Context()); err != nil || got != [4]*string{} {
			t.Errorf("without a span, the task sees %q, %v", texts(got[:]...), err)
		}
	}
	breaks := python.Source[int, int]("breaks", "import opentelemetry.context as c\ndef breaks(n):\n    c.attach = c.detach = None\n    return n\n")
	for range 2 {
		if got, err := concert.Submit(ctx, p, breaks, 4).Result(t.Context()); got != 4 || err != nil {
			t.Errorf("Result() = %d, %v; want 4", got, err)
		}
	}
}

// TestTracing_OtherPackage: if another package has the same name and tries
// to end the interpreter, this must have no effect on the task.
func TestTracing_OtherPackage(t *testing.T) {
	ctx := traced(t, parent)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "opentelemetry.py"), []byte("raise SystemExit(3)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 1, &python.Options{Path: []string{dir}})
	if got, err := concert.Submit(ctx, p, traceparent, 1).Result(t.Context()); err != nil || *got != parent {
		t.Errorf("the task sees %q, %v", texts(got), err)
	}
}
