package processes_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"concert"
	"concert/executor"
	"concert/processes"
)

type spanKey struct{}

// traced is a Tracing whose spans are texts.
type traced struct{}

func (traced) Within(ctx context.Context, task uint64) context.Context { return ctx }

func (traced) Inject(ctx context.Context, task uint64) string {
	if task != 0 {
		return fmt.Sprint("task ", task)
	}
	text, _ := ctx.Value(spanKey{}).(string)
	return text
}

func (traced) Extract(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, spanKey{}, trace)
}

func init() {
	if os.Getenv("CONCERT_WORKER") != "" {
		executor.SetTracing(traced{})
	}
}

func setTracing(t *testing.T) {
	executor.SetTracing(traced{})
	t.Cleanup(func() { executor.SetTracing(nil) })
}

var spanSeen = concert.Register("processes_test.spanSeen", func(ctx context.Context, n int) (string, error) {
	if n < 0 {
		os.Exit(3)
	}
	text, _ := ctx.Value(spanKey{}).(string)
	return text, nil
})

var spanSeenLarge = concert.Register("processes_test.spanSeenLarge", func(ctx context.Context, _ []byte) (string, error) {
	text, _ := ctx.Value(spanKey{}).(string)
	return text, nil
})

// TestTracing: a function in a worker process must receive the span of its
// task. If the task has no span, it must receive the span of the submitter,
// if there is one. If the pool sends a call again after a crash, the call
// must keep its span.
func TestTracing(t *testing.T) {
	setTracing(t)
	p := newPool(t, 1, nil)
	ctx := context.WithValue(t.Context(), spanKey{}, "submitter")
	check := func(what string, ctx context.Context, n int, want string) {
		t.Helper()
		got, err := concert.Submit(ctx, p, spanSeen, n).Result(t.Context())
		if got != want || err != nil {
			t.Errorf("%s: the function sees %q, %v; want %q", what, got, err, want)
		}
	}
	for range 3 {
		check("Submit", ctx, 1, "submitter")
		check("Submit without a span", t.Context(), 1, "")
	}
	if got, err := concert.Submit(ctx, p, spanSeenLarge, make([]byte, 100<<10)).Result(t.Context()); got != "submitter" || err != nil {
		t.Errorf("large argument: the function sees %q, %v", got, err)
	}
	inputs := make([]int, 2000)
	inputs[700] = -1
	crashed := 0
	for text, err := range concert.Map(ctx, p, spanSeen, slices.Values(inputs)) {
		switch {
		case err != nil:
			crashed++
		case text != "submitter":
			t.Fatalf("Map: the function sees %q", text)
		}
	}
	if crashed != 1 {
		t.Errorf("%d calls crashed, want 1", crashed)
	}
	var mu sync.Mutex
	var numbers []string
	stop := p.Watch(func(e concert.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == concert.TaskSubmitted {
			numbers = append(numbers, fmt.Sprint("task ", e.Task))
		}
	})
	got, err := concert.Submit(ctx, p, spanSeen, 1).Result(t.Context())
	stop()
	if len(numbers) != 1 || got != numbers[0] || err != nil {
		t.Errorf("with an observer, the function sees %q, %v; want %q", got, err, numbers)
	}
}

// TestTracing_OldWorker: if a worker has not sent the flag for tracing, the
// pool must not send it the frame Trace.
func TestTracing_OldWorker(t *testing.T) {
	setTracing(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := newPool(t, 1, &processes.Options{Command: []string{self}, Env: append(os.Environ(), fakeEnv+"=1")})
	ctx := context.WithValue(t.Context(), spanKey{}, "submitter")
	if got, err := concert.Submit(ctx, p, nop, 5).Result(t.Context()); got != 5 || err != nil {
		t.Errorf("Result() = %d, %v; want 5", got, err)
	}
}
