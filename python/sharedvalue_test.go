package python_test

import (
	"context"
	"strings"
	"testing"

	"concert"
	"concert/python"
)

// sharedRecord is a shared value that becomes a dict.
type sharedRecord struct {
	Name    string    `json:"name"`
	Numbers []float64 `json:"numbers"`
}

// withValue and withHandle are arguments that contain a value, and its handle.
type (
	withValue[T any]  struct{ Value, Again T }
	withHandle[T any] struct {
		Value *concert.Shared[T]
		Again concert.Shared[T]
	}
)

// TestSharedValue: a function in Python must receive the value of a handle as
// if it was passed directly, as the argument and within it.
func TestSharedValue(t *testing.T) {
	p := newPool(t, 2, nil)
	sameAsDirect(t, p, "text")
	sameAsDirect(t, p, 7)
	sameAsDirect(t, p, []byte("bytes"))
	sameAsDirect(t, p, []float64{1, 2.5})
	sameAsDirect(t, p, []float64{})
	sameAsDirect(t, p, []string{"a", "b"})
	sameAsDirect(t, p, map[string]int{"a": 1})
	sameAsDirect(t, p, sharedRecord{"name", []float64{1}})
	sameAsDirect(t, p, any([]any{1, nil, "x"}))
	sameAsDirect[[]int](t, p, nil)

	none := python.Func[*concert.Shared[int], string]("builtins:repr")
	if got, err := concert.Submit(t.Context(), p, none, nil).Result(t.Context()); got != "None" || err != nil {
		t.Errorf("a nil handle has arrived as %s, %v", got, err)
	}
	zero := python.Func[concert.Shared[int], string]("builtins:repr")
	if got, err := concert.Submit(t.Context(), p, zero, concert.Shared[int]{}).Result(t.Context()); got != "None" || err != nil {
		t.Errorf("a zero handle has arrived as %s, %v", got, err)
	}
}

func sameAsDirect[T any](t *testing.T, p concert.Executor, v T) {
	t.Helper()
	h, err := concert.Share(t.Context(), p, v)
	if err != nil {
		t.Error(err)
		return
	}
	same := func(direct, handle func(context.Context) (string, error)) {
		t.Helper()
		want, err := direct(t.Context())
		if err != nil {
			t.Error(err)
		}
		if got, err := handle(t.Context()); got != want || err != nil {
			t.Errorf("a handle of %#v has arrived as %s, %v; want %s", v, got, err, want)
		}
	}
	same(repr(p, v), repr(p, h))
	same(repr(p, v), repr(p, *h))
	same(repr(p, withValue[T]{v, v}), repr(p, withHandle[T]{h, *h}))
	h.Close()
	for name, call := range map[string]func(context.Context) (string, error){"the argument": repr(p, h), "a field": repr(p, withHandle[T]{Value: h})} {
		if got, err := call(t.Context()); err == nil || !strings.Contains(err.Error(), "the shared value is closed") {
			t.Errorf("a closed handle as %s: %q, %v; want an error", name, got, err)
		}
	}
}

// repr returns a function that returns how Python prints the argument.
func repr[T any](p concert.Executor, arg T) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		return concert.Submit(ctx, p, python.Func[T, string]("builtins:repr"), arg).Result(ctx)
	}
}

// TestShared_OnlyPythonEncodes: Share must accept a value that only the codec
// of Python can encode, because each call copies the value.
func TestShared_OnlyPythonEncodes(t *testing.T) {
	type point struct{ X int }
	p := newPool(t, 1, nil)
	s, err := concert.Share(t.Context(), p, map[string]any{"a": point{1}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := concert.Submit(t.Context(), p, python.Func[*concert.Shared[map[string]any], int]("builtins:len"), s).Result(t.Context())
	if got != 1 || err != nil {
		t.Errorf("len() of the shared value = %d, %v", got, err)
	}
}
