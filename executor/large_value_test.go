package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"concert"
	"concert/executor"
	"concert/internal/loopback"
)

// document is a type without methods.
type document struct {
	Lines map[string][]string
	Data  []byte
}

// largeDocument returns a document with n lines and n bytes.
func largeDocument(n int) document {
	d := document{Lines: map[string][]string{}, Data: make([]byte, n)}
	for i := range n {
		key := fmt.Sprint(i / 1000)
		d.Lines[key] = append(d.Lines[key], "a line")
	}
	return d
}

var (
	echoDocument = concert.Register("concert_test.echoDocument", func(_ context.Context, d document) (document, error) { return d, nil })
	echoAny      = concert.Register("concert_test.echoAny", func(_ context.Context, v any) (any, error) { return v, nil })
	echoBytes    = concert.Register("concert_test.echoBytes", func(_ context.Context, b []byte) ([]byte, error) { return b, nil })
)

// handOver is an executor whose tasks the test claims.
type handOver struct {
	shelf
	again chan *executor.Task
}

func (h *handOver) Again(t *executor.Task) { h.again <- t }

func newHandOver() *handOver {
	h := &handOver{again: make(chan *executor.Task, 1)}
	h.group = executor.NewRemoteGroup(h, executor.Limits{}, nil)
	return h
}

// handled submits a call, claims it, runs it and settles it. It reports whether
// the first claim has encoded the argument.
func handled[T any](t *testing.T, fn func(context.Context, T) (T, error), arg T) (atOnce bool) {
	t.Helper()
	h := newHandOver()
	fut := concert.Submit(t.Context(), h, fn, arg)
	task := h.tasks[0]
	batch, _ := task.Claim(1, 1<<20)
	if atOnce = batch != nil; !atOnce {
		select {
		case task = <-h.again:
		case <-fut.Done():
			t.Fatal(fut.Result(t.Context()))
		}
		if batch, _ = task.Claim(1, 1<<20); batch == nil {
			t.Fatal("the argument is still not encoded")
		}
	}
	f, err := executor.Find(batch.Name)
	if err != nil {
		t.Fatal(err)
	}
	result, err := f.Invoke(t.Context(), batch.Args[0])
	result.Bytes = bytes.Clone(result.Bytes)
	batch.Start(0, 0)
	batch.Settle(0, 0, result, err)
	clear(result.Bytes) // the executor uses the memory again
	if got, err := fut.Result(t.Context()); err != nil || !reflect.DeepEqual(got, arg) {
		t.Errorf("a %T became %.100v, %v", arg, got, err)
	}
	return atOnce
}

// TestClaim_LargeArgument: Claim encodes an argument on its own goroutine only
// if the argument is small, or is a []byte, a string or a slice of numbers.
func TestClaim_LargeArgument(t *testing.T) {
	for name, x := range map[string]struct{ got, atOnce bool }{
		"small":         {handled(t, echoDocument, largeDocument(100)), true},
		"many parts":    {handled(t, echoDocument, document{Lines: largeDocument(100_000).Lines}), false},
		"many bytes":    {handled(t, echoDocument, document{Data: make([]byte, 1<<20)}), false},
		"small any":     {handled(t, echoAny, any([]any{1, "a"})), true},
		"large any":     {handled(t, echoAny, any(slices.Repeat([]any{1}, 100_000))), false},
		"bytes":         {handled(t, echoBytes, make([]byte, 10<<20)), true},
		"text in any":   {handled(t, echoAny, any(strings.Repeat("x", 1<<20))), false},
		"medium result": {handled(t, echoDocument, document{Data: make([]byte, 100<<10)}), true},
	} {
		t.Run(name, func(t *testing.T) {
			if x.got != x.atOnce {
				t.Errorf("%s: encoded at once: %v, want %v", name, x.got, x.atOnce)
			}
		})
	}
}

// TestMap_LargeValues: if small and large inputs follow each other in a Map,
// all inputs and results arrive unchanged.
func TestMap_LargeValues(t *testing.T) {
	ex := loopback.New(2, loopback.Options{})
	defer ex.Close()
	var inputs []document
	for i := range 30 {
		inputs = append(inputs, largeDocument(i%3*9_000+i))
	}
	i := 0
	for got, err := range concert.Map(t.Context(), ex, echoDocument, slices.Values(inputs)) {
		if err != nil || !reflect.DeepEqual(got, inputs[i]) {
			t.Fatalf("input %d arrives changed, %v", i, err)
		}
		i++
	}
	if i != len(inputs) {
		t.Errorf("%d results of %d", i, len(inputs))
	}
	for range concert.Map(t.Context(), ex, echoDocument, slices.Values(inputs)) {
		break
	}
}

// slowCodec encodes and decodes only when the test permits it.
type slowCodec struct{ proceed chan struct{} }

func (c slowCodec) Methods(reflect.Type) (always, depends bool) { return false, false }

func (c slowCodec) HoldsMethods(reflect.Value) bool { return false }

func (c slowCodec) Encode(v any) ([]byte, error) {
	if d, ok := v.(document); ok && len(d.Lines) > 1 {
		<-c.proceed
	}
	return []byte("encoded"), nil
}

func (c slowCodec) Decode(result executor.Encoded, _ any) error {
	if len(result.Bytes) > 1000 {
		<-c.proceed
	}
	return nil
}

// TestClaim_LargeWithCodec: if a Codec does not return for a large value, Claim
// and Settle still return, and the call settles when its context ends.
func TestClaim_LargeWithCodec(t *testing.T) {
	codec := slowCodec{make(chan struct{})}
	defer close(codec.proceed)
	fn := executor.Declare[document, document]("concert_test.declared", codec)
	why := errors.New("not wanted")

	h := newHandOver()
	ctx, cancel := context.WithCancelCause(t.Context())
	large := concert.Submit(ctx, h, fn, largeDocument(100_000))
	if batch, again := h.tasks[0].Claim(1, 1<<20); batch != nil || again {
		t.Error("a large argument is encoded at once")
	}
	cancel(why)
	if _, err := large.Result(t.Context()); !errors.Is(err, why) {
		t.Errorf("canceled while it is encoded: %v", err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	fut := concert.Submit(ctx, h, fn, document{})
	batch, _ := h.tasks[1].Claim(1, 1<<20)
	if batch == nil {
		t.Fatal("a small argument is not encoded at once")
	}
	batch.Start(0, 0)
	batch.Settle(0, 0, executor.Encoded{Kind: batch.Args[0].Kind, Bytes: make([]byte, 1<<20)}, nil)
	cancel(why)
	if _, err := fut.Result(t.Context()); !errors.Is(err, why) {
		t.Errorf("canceled while the result is decoded: %v", err)
	}
}
