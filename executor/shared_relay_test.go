package executor_test

import (
	"context"
	"strings"
	"testing"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/loopback"
)

// deepShared has handles at several places.
type deepShared struct {
	One  *concert.Shared[[]float64]
	Many map[string][]any
	Text string
}

var deepSum = concert.Register("concert_test.deepSum", func(_ context.Context, d deepShared) (float64, error) {
	total := 0.0
	sum := func(s *concert.Shared[[]float64]) {
		for _, v := range s.Value() {
			total += v
		}
	}
	sum(d.One)
	for _, v := range d.Many["a"] {
		if s, ok := v.(*concert.Shared[[]float64]); ok {
			sum(s)
		}
	}
	return total, nil
})

// relaySource is an executor that keeps the calls which it receives, with their
// references, and never runs them.
type relaySource struct {
	*loopback.Executor
	value executor.Encoded
	id    executor.SharedID
	group *executor.WorkerGroup
}

func (s *relaySource) Share(ctx context.Context, encode func(executor.SharedCodec) (executor.Encoded, error)) (*executor.Stored, error) {
	value, err := encode(nil)
	if err != nil {
		return nil, err
	}
	stored, err := s.Executor.Share(ctx, func(executor.SharedCodec) (executor.Encoded, error) { return value, nil })
	s.value, s.id, s.group = executor.Encoded{Kind: value.Kind, Bytes: append([]byte{}, value.Bytes...)}, stored.ID, stored.Group
	return stored, err
}

// hidden is an executor that passes tasks to another executor, and stores no
// values.
type hidden struct{ executor.Executor }

// claimed submits a call, and returns the batch with its encoded argument.
func claimed[In, Out any](t *testing.T, ex *relaySource, fn func(context.Context, In) (Out, error), arg In) *executor.Batch {
	t.Helper()
	batches := make(chan *executor.Batch, 1)
	concert.Submit(t.Context(), catching{ex, batches}, fn, arg)
	return <-batches
}

// catching claims tasks for the group of a relaySource.
type catching struct {
	*relaySource
	batches chan *executor.Batch
}

func (c catching) Execute(_ context.Context, t *executor.Task) error {
	c.group.Adopt(t)
	batch, _ := t.Claim(1, 1<<20)
	c.batches <- batch
	return nil
}

// TestRelay_Shared: if the argument of a call refers to a value of another
// executor, the call gets the value on each executor, even if the workers do
// not have it.
func TestRelay_Shared(t *testing.T) {
	src := &relaySource{Executor: loopback.New(1, loopback.Options{})}
	defer src.Close()
	h, err := concert.Share(t.Context(), src, []float64{1, 2, 3})
	if err != nil {
		t.Fatal(err)
	}
	arg := deepShared{One: h, Many: map[string][]any{"a": {h, strings.Repeat("text", 100), 1 << 40, -5, 1.5, nil, true, []byte{1}, h}, "b": {map[string]any{"c": []int{300, 70_000}}}}}
	b := claimed(t, src, deepSum, arg)
	if n := len(b.Args[0].Bytes); n > 1000 {
		t.Fatalf("the argument has %d bytes, so it has no references", n)
	}
	h.Close() // the value is no longer in the table of this process
	for name, ex := range map[string]concert.Executor{
		"goroutines": goroutines.New(2, nil), "loopback": loopback.New(2, loopback.Options{}), "hidden": hidden{loopback.New(2, loopback.Options{})},
	} {
		t.Run(name, func(t *testing.T) {
			defer ex.Close()
			var all []*executor.Stored
			for range 2 {
				stored, err := executor.RelayShared(t.Context(), ex, src.id, src.value)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, stored)
			}
			run := func() (float64, error) {
				result, err := executor.Relay(t.Context(), ex, executor.Call{Name: b.Name, Arg: b.Args[0], Shared: all[:1]}).Result(t.Context())
				if err != nil {
					return 0, err
				}
				v, err := result.Plain()
				f, _ := v.(float64)
				return f, err
			}
			if got, err := run(); got != 18 || err != nil {
				t.Errorf("the sum is %v, %v; want 18", got, err)
			}
			all[1].Release()
			if got, err := run(); got != 18 || err != nil {
				t.Errorf("with one user, the sum is %v, %v; want 18", got, err)
			}
			all[0].Release()
			if name == "goroutines" {
				if got, err := run(); err == nil {
					t.Errorf("after the last Release, the sum is %v, want an error", got)
				}
			}
		})
	}
}

// TestRelay_SharedForeign: if a codec has encoded a reference, and the executor
// does not store the value, the error must say so.
func TestRelay_SharedForeign(t *testing.T) {
	ex := hidden{loopback.New(1, loopback.Options{})}
	defer ex.Close()
	id := executor.SharedID{1, 2, 3, 4, 5, 6, 7, 8, 9}
	stored, err := executor.RelayShared(t.Context(), ex, id, executor.Encoded{})
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Release()
	const foreign = 17
	arg := executor.Encoded{Kind: foreign, Bytes: append([]byte("codec"), id[:]...)}
	if !arg.Foreign() {
		t.Fatal("the kind of foreign values has changed")
	}
	_, err = executor.Relay(t.Context(), ex, executor.Call{Name: "concert_test.deepSum", Arg: arg, Shared: []*executor.Stored{stored}}).Result(t.Context())
	if err == nil || !strings.Contains(err.Error(), "executor.SharedRelayer") {
		t.Errorf("Relay() = %v, want an error that names the interface", err)
	}
}
