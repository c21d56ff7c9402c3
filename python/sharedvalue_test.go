package python_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/python"
)

// sharedRecord is a shared value that becomes a dict.
type sharedRecord struct {
	Name    string    `json:"name"`
	Numbers []float64 `json:"numbers"`
}

// withValue is an argument that contains a value, and withHandle is an
// argument that contains the handle of a value.
type (
	withValue[T any]  struct{ Value, Again T }
	withHandle[T any] struct {
		Value *concert.Shared[T]
		Again concert.Shared[T]
	}
)

// TestSharedValue: for a value that has no arrays and is not a []byte, a
// function in Python must see no difference between the value and its
// handle. The test passes both as the argument, and within the argument.
func TestSharedValue(t *testing.T) {
	p := newPool(t, 2, nil)
	sameAsDirect(t, p, "text")
	sameAsDirect(t, p, 7)
	sameAsDirect(t, p, any([]byte(nil)))
	sameAsDirect(t, p, any([][]byte{{1}, {}}))
	sameAsDirect(t, p, any([]float64(nil)))
	sameAsDirect(t, p, any([4]byte{1, 2}))
	sameAsDirect(t, p, any([]string{"a", "b"}))
	sameAsDirect(t, p, any(map[string]int{"a": 1}))
	sameAsDirect(t, p, any(sharedRecord{Name: "name"}))
	sameAsDirect(t, p, any(time.Unix(1e9, 5).UTC()))
	sameAsDirect(t, p, any(map[time.Duration]string{1: "a"}))
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

// repr returns a function. This function returns the text of the argument in
// Python, as the builtin repr makes it.
func repr[T any](p concert.Executor, arg T) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		return concert.Submit(ctx, p, python.Func[T, string]("builtins:repr"), arg).Result(ctx)
	}
}

// look has a function that describes an argument and the arrays in it.
const look = `
import numbers
def look(v):
    if type(v) is memoryview:
        return "view of %s %s%s" % (v.format, v.tolist(), "" if v.readonly else ", writable")
    if type(v).__name__ == "ndarray":
        return "ndarray of %s %s%s%s" % (v.dtype.name, v.tolist(), "" if v.flags.aligned else ", not aligned", ", writable" if v.flags.writeable else "")
    if type(v) is list:
        return "[%s]" % ", ".join(map(look, v))
    if type(v) is dict:
        return "{%s}" % ", ".join("%s: %s" % (k, look(x)) for k, x in v.items())
    return repr(v)
`

// lookAt returns Python's description of an argument.
func lookAt[T any](t *testing.T, p concert.Executor, arg T) string {
	t.Helper()
	got, err := concert.Submit(t.Context(), p, python.Source[T, string]("look", look), arg).Result(t.Context())
	if err != nil {
		t.Error(err)
	}
	return got
}

// sees checks Python's description of a shared value in three cases: the
// argument is a handle, the argument contains a handle, and another executor
// stores the value.
func sees(t *testing.T, p, other concert.Executor, v any, want string) {
	t.Helper()
	for name, ex := range map[string]concert.Executor{"stored here": p, "stored elsewhere": other} {
		h, err := concert.Share(t.Context(), ex, v)
		if err != nil {
			t.Error(err)
			return
		}
		if got := lookAt(t, p, h); got != want {
			t.Errorf("%T, %s, has arrived as %s; want %s", v, name, got, want)
		}
		if got, want := lookAt(t, p, withHandle[any]{h, *h}), "{Value: "+want+", Again: "+want+"}"; got != want {
			t.Errorf("%T within a struct, %s, has arrived as %s; want %s", v, name, got, want)
		}
		h.Close()
	}
}

// TestSharedValue_Views: slices of numbers and bytes must arrive as
// read-only views, also if they are within a value. Their type must not
// depend on the executor that stores the value.
func TestSharedValue_Views(t *testing.T) {
	t.Parallel()
	p, other := newPool(t, 1, nil), newPool(t, 1, nil)
	type blob []byte
	type grid []float32
	sees(t, p, other, []byte("ab"), "view of B [97, 98]")
	sees(t, p, other, blob("ab"), "view of B [97, 98]")
	sees(t, p, other, []byte{}, "view of B []")
	sees(t, p, other, []float64{1, 2.5}, "view of d [1.0, 2.5]")
	sees(t, p, other, []float64{}, "view of d []")
	sees(t, p, other, grid{0.5}, "view of f [0.5]")
	sees(t, p, other, []int8{-1}, "view of b [-1]")
	sees(t, p, other, []int16{-1}, "view of h [-1]")
	sees(t, p, other, []int32{-1}, "view of i [-1]")
	sees(t, p, other, []int64{-1}, "view of q [-1]")
	sees(t, p, other, []uint16{1}, "view of H [1]")
	sees(t, p, other, []uint32{1}, "view of I [1]")
	sees(t, p, other, []uint64{1 << 63}, "view of Q [9223372036854775808]")
	sees(t, p, other, make([]int8, 20_000), "view of b ["+strings.Repeat("0, ", 19_999)+"0]") // larger than a frame
	sees(t, p, other, [3]int16{1, 2, 3}, "view of h [1, 2, 3]")
	sees(t, p, other, [][]float64{{1}, nil, {}, {2, 3}}, "[view of d [1.0], None, view of d [], view of d [2.0, 3.0]]")
	sees(t, p, other, [][2]int8{{1, 2}, {3, 4}}, "[view of b [1, 2], view of b [3, 4]]")
	sees(t, p, other, sharedRecord{"name", []float64{1}}, "{name: 'name', numbers: view of d [1.0]}")
	sees(t, p, other, any([]any{[]int8{1}, []byte{2}, "x"}), "[view of b [1], b'\\x02', 'x']")
	if got := lookAt(t, p, []float64{1}); got != "array('d', [1.0])" {
		t.Errorf("a slice that is not shared has arrived as %s", got)
	}
}

// sharedSize is a number of float64 that is so large that the encoder, at
// the second reference to them, copies their first encoding.
const sharedSize = 150_000

// TestSharedValue_NumPy: an Array must arrive as a read-only ndarray. The
// memory of the ndarray and of its views must be aligned.
func TestSharedValue_NumPy(t *testing.T) {
	t.Parallel()
	o := withNumPy(t)
	p, other := newPool(t, 1, o), newPool(t, 1, o)
	sees(t, p, other, python.Array[float64]{Shape: []int{2, 1}, Data: []float64{1, 2}}, "ndarray of float64 [[1.0], [2.0]]")
	sees(t, p, other, python.Array[bool]{Data: []bool{true}}, "ndarray of bool [True]")
	sees(t, p, other, python.Array[complex64]{Shape: []int{0}}, "ndarray of complex64 []")
	type array = python.Array[float64]
	large := array{Data: make([]float64, sharedSize)} // the encoder copies parts of this size
	sees(t, p, other, map[string]any{"a": []any{[]int8{1}, array{Data: []float64{7}}}}, "{a: [view of b [1], ndarray of float64 [7.0]]}")
	at := python.Source[*concert.Shared[[]any], []int]("at", `
import numpy
def at(v):
    numpy.asarray(v[0])
    return [numpy.asarray(x).ctypes.data % 64 for x in v]
`)
	shared := &large
	h, err := concert.Share(t.Context(), p, []any{[]int8{1}, shared, []float64{2}, shared, []uint16{3}, shared, array{Data: []float64{7}}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := call(t, p, at, h); !slices.Equal(got, make([]int, 7)) || err != nil {
		t.Errorf("the arrays begin at %v, %v after multiples of 64", got, err)
	}
	write := python.Source[*concert.Shared[python.Array[float64]], any]("write", "def write(a):\n    try:\n        a.flags.writeable = True\n    except ValueError:\n        pass\n    a[0] = 5")
	numbers, err := concert.Share(t.Context(), p, large)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(t, p, write, numbers); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("a write to a shared array: %v, want an error", err)
	}
}

// TestSharedValue_Isolated: a call that changes its argument must not change
// the value for later calls.
func TestSharedValue_Isolated(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, nil)
	h, err := concert.Share(t.Context(), p, map[string]any{"list": []int{1}, "numbers": []float64{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	spoil := python.Source[*concert.Shared[map[string]any], string]("spoil", `
def spoil(v):
    before = repr(v["list"]) + str(v["numbers"].tolist())
    v["list"].append(2)
    try:
        v["numbers"][0] = 7
    except TypeError as e:
        before += str(e)
    v["numbers"].release()
    v.clear()
    return before
`)
	const want = "[1][1.0, 2.0]cannot modify read-only memory"
	for range 3 {
		if got, err := call(t, p, spoil, h); got != want || err != nil {
			t.Errorf("the value of a call was %s, %v; want %s", got, err, want)
		}
	}
}

// TestSharedValue_OnlyPythonEncodes: Share must accept a value that only the
// codec of Python can encode.
func TestSharedValue_OnlyPythonEncodes(t *testing.T) {
	t.Parallel()
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

// TestSharedValue_ValueInArgument: an argument contains a slice and a handle
// of the same slice. The slice must not arrive as a view, and the value of the
// handle must not arrive as a copy. So the encoder must not reuse the encoding
// of the slice for the handle, or the reverse.
func TestSharedValue_ValueInArgument(t *testing.T) {
	t.Parallel()
	p, other := newPool(t, 1, nil), newPool(t, 1, nil)
	type handleFirst struct {
		Handle *concert.Shared[[]float64]
		Value  []float64
	}
	type valueFirst struct {
		Value  []float64
		Handle *concert.Shared[[]float64]
	}
	const types = "def types(d):\n    return type(d['Value']).__name__ + ', ' + type(d['Handle']).__name__"
	v := make([]float64, sharedSize)
	for name, ex := range map[string]concert.Executor{"stored here": p, "stored elsewhere": other} {
		h, err := concert.Share(t.Context(), ex, v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := call(t, p, python.Source[handleFirst, string]("types", types), handleFirst{h, v}); got != "array, memoryview" || err != nil {
			t.Errorf("%s, the handle first: %s, %v", name, got, err)
		}
		if got, err := call(t, p, python.Source[valueFirst, string]("types", types), valueFirst{v, h}); got != "array, memoryview" || err != nil {
			t.Errorf("%s, the value first: %s, %v", name, got, err)
		}
	}
}
