package executor_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

type traceKey struct{}

// traced is a Tracing whose spans are texts: the value for traceKey, and
// "task" for each task with a number.
type traced struct{}

func (traced) Within(ctx context.Context, task uint64) context.Context {
	return context.WithValue(ctx, traceKey{}, fmt.Sprint("task ", task))
}

func (traced) Inject(ctx context.Context, task uint64) string {
	if task != 0 {
		return fmt.Sprint("task ", task)
	}
	text, _ := ctx.Value(traceKey{}).(string)
	return text
}

func (traced) Extract(ctx context.Context, trace string) context.Context {
	return context.WithValue(ctx, traceKey{}, "remote "+trace)
}

func setTracing(t *testing.T) {
	executor.SetTracing(traced{})
	t.Cleanup(func() { executor.SetTracing(nil) })
}

var spanSeen = concert.Register("executor_test.spanSeen", func(ctx context.Context, _ int) (string, error) {
	text, _ := ctx.Value(traceKey{}).(string)
	return text, nil
})

// numbers observes the numbers of tasks, and the values of the submitter's
// context in their events.
type numbers struct {
	mu  sync.Mutex
	all []string // guarded by mu
}

func (n *numbers) observe(e concert.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Kind == concert.TaskSubmitted {
		n.all = append(n.all, fmt.Sprint("task ", e.Task))
	}
	if e.Context.Value(traceKey{}) != "submitter" {
		n.all = append(n.all, fmt.Sprint(e.Kind, " without the values of the submitter's context"))
	}
}

func (n *numbers) sorted() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	slices.Sort(n.all)
	return n.all
}

// foreignTraced is a context of the program.
type foreignTraced struct{ context.Context }

func (c foreignTraced) Value(key any) any {
	if key == (traceKey{}) {
		return "submitter"
	}
	return c.Context.Value(key)
}

// failingValue is a context whose method Value panics for traceKey.
type failingValue struct{ context.Context }

func (c failingValue) Value(key any) any {
	if key == (traceKey{}) {
		panic("no value")
	}
	return c.Context.Value(key)
}

// TestTracing: if the executor has an observer, a function sees the span of
// its task. Otherwise it sees the span of the submitter. A remote worker
// receives the span as a text.
func TestTracing(t *testing.T) {
	setTracing(t)
	standard := context.WithValue(t.Context(), traceKey{}, "submitter")
	for name, ctx := range map[string]context.Context{"context": standard, "foreign context": foreignTraced{t.Context()}} {
		for kind, remote := range map[string]string{"local": "", "remote": "remote "} {
			t.Run(name+", "+kind, func(t *testing.T) {
				var ex concert.Executor = goroutines.New(2, nil)
				if remote != "" {
					ex = loopback.New(2, loopback.Options{})
				}
				defer ex.Close()
				submitted := func() []string {
					a, err := concert.Submit(ctx, ex, spanSeen, 1).Result(t.Context())
					b, err2 := concert.Submit(ctx, ex, spanSeen, 2).Result(t.Context())
					if err != nil || err2 != nil {
						t.Error(err, err2)
					}
					return []string{a, b}
				}
				mapped := func() (all []string) {
					for text, err := range concert.Map(ctx, ex, spanSeen, slices.Values([]int{1, 2, 3})) {
						if err != nil {
							t.Error(err)
						}
						all = append(all, text)
					}
					return all
				}
				for what, run := range map[string]func() []string{"Submit": submitted, "Map": mapped} {
					for _, got := range run() {
						if want := remote + "submitter"; got != want {
							t.Errorf("%s: the function sees %q, want %q", what, got, want)
						}
					}
					seen := &numbers{}
					stop := ex.Watch(seen.observe)
					got := run()
					stop()
					slices.Sort(got)
					want := seen.sorted()
					for i := range want {
						want[i] = remote + want[i]
					}
					if !slices.Equal(got, want) {
						t.Errorf("%s with an observer: the functions see %q, want %q", what, got, want)
					}
				}
			})
		}
	}
}

// TestTracing_Relay: a relayed call has the text that came with it, with and
// without a Tracing in this process.
func TestTracing_Relay(t *testing.T) {
	for kind, ex := range map[string]concert.Executor{"local": goroutines.New(1, nil), "remote": loopback.New(1, loopback.Options{})} {
		t.Run(kind, func(t *testing.T) {
			defer ex.Close()
			setTracing(t)
			arg := argument(t)
			call := executor.Call{Name: "executor_test.spanSeen", Arg: arg, Trace: "text"}
			got, err := executor.Relay(t.Context(), ex, call).Result(t.Context())
			want := "remote text"
			if kind == "remote" {
				want = "remote remote text" // Extract in Relay, then Inject and Extract
			}
			if string(got.Bytes) != want || err != nil {
				t.Errorf("the function sees %q, %v; want %q", got.Bytes, err, want)
			}
			for _, call.Trace = range []string{strings.Repeat("x", executor.MaxTrace+1), "text\r\nCookie: a=b", "\xff", "\x7f"} {
				if got, err := executor.Relay(t.Context(), ex, call).Result(t.Context()); len(got.Bytes) != 0 || err != nil {
					t.Errorf("the function sees %.20q, %v; want nothing of an invalid text", got.Bytes, err)
				}
			}
		})
	}
}

// TestTracing_RelayWithout: without a Tracing, Relay passes the text to a
// remote executor.
func TestTracing_RelayWithout(t *testing.T) {
	calls := make(chan string, 1)
	ex := newTracePool(calls)
	call := executor.Call{Name: "executor_test.spanSeen", Arg: argument(t), Trace: "text"}
	if _, err := executor.Relay(t.Context(), ex, call).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-calls; got != "text" {
		t.Errorf("the worker receives %q, want the text of the call", got)
	}
	call.Trace = "text\r\nCookie: a=b"
	if _, err := executor.Relay(t.Context(), ex, call).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-calls; got != "" {
		t.Errorf("the worker receives %q, want nothing of an invalid text", got)
	}
}

// TestTracing_NoText: no text is sent if there is no span, if the text is
// too long, or if a method of the context panics.
func TestTracing_NoText(t *testing.T) {
	setTracing(t)
	calls := make(chan string, 1)
	ex := newTracePool(calls)
	for name, ctx := range map[string]context.Context{
		"no span":  t.Context(),
		"too long": context.WithValue(t.Context(), traceKey{}, strings.Repeat("x", executor.MaxTrace+1)),
		"panic":    failingValue{t.Context()},
		"lines":    context.WithValue(t.Context(), traceKey{}, "a\nb"),
	} {
		if _, err := concert.Submit(ctx, ex, spanSeen, 1).Result(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-calls; got != "" {
			t.Errorf("%s: the worker receives %.20q, want nothing", name, got)
		}
	}
}

// failingTracing is a Tracing whose methods fail. Its value says in which
// way.
type failingTracing string

func (how failingTracing) context() context.Context {
	switch how {
	case "nil":
		return nil
	case "foreign":
		return failingValue{context.Background()}
	}
	panic("no context")
}

func (how failingTracing) Within(context.Context, uint64) context.Context { return how.context() }

func (failingTracing) Inject(context.Context, uint64) string { return "text" }

func (how failingTracing) Extract(context.Context, string) context.Context { return how.context() }

// TestTracing_Fails: if a method of the Tracing panics, or returns a context
// that a function cannot have, the function is called without a span.
func TestTracing_Fails(t *testing.T) {
	t.Cleanup(func() { executor.SetTracing(nil) })
	for _, how := range []failingTracing{"panic", "nil", "foreign"} {
		executor.SetTracing(how)
		for kind, ex := range map[string]concert.Executor{"local": goroutines.New(1, nil), "remote": loopback.New(1, loopback.Options{})} {
			defer ex.Close()
			if how == "foreign" && kind == "remote" {
				continue // the worker of a loopback has such a context itself
			}
			stop := ex.Watch(func(concert.Event) {})
			if got, err := concert.Submit(t.Context(), ex, spanSeen, 1).Result(t.Context()); got != "" || err != nil {
				t.Errorf("%s, %s: Submit: %q, %v", how, kind, got, err)
			}
			for got, err := range concert.Map(t.Context(), ex, spanSeen, slices.Values([]int{1, 2})) {
				if got != "" || err != nil {
					t.Errorf("%s, %s: Map: %q, %v", how, kind, got, err)
				}
			}
			stop()
		}
	}
}

// newTracePool returns an executor that claims each task when it is submitted,
// and settles it with the text for tracing, which it also sends to the channel.
func newTracePool(calls chan string) *tracePool {
	p := &tracePool{Executor: loopback.New(1, loopback.Options{}), calls: calls}
	p.group = executor.NewRemoteGroup(p, executor.Limits{}, nil)
	return p
}

type tracePool struct {
	concert.Executor
	group *executor.WorkerGroup
	calls chan string
}

func (p *tracePool) Again(*executor.Task)         {}
func (p *tracePool) Dropped()                     {}
func (p *tracePool) Withdraw(*executor.Task) bool { return true }

func (p *tracePool) Execute(_ context.Context, task *executor.Task) error {
	p.group.Adopt(task)
	b, _ := task.Claim(1, 1)
	p.calls <- b.Trace()
	b.Settle(0, 0, executor.Encoded{Kind: 2, Bytes: []byte(b.CallTrace(0))}, nil)
	return nil
}

// argument returns an encoded argument of spanSeen.
func argument(t *testing.T) executor.Encoded {
	_, arg, err := executor.Prepare(spanSeen, 1)
	if err != nil {
		t.Fatal(err)
	}
	return arg
}
