package python_test

import (
	"os/exec"
	"reflect"
	"slices"
	"testing"

	"concert/python"
)

// TestNumpy: with numpy numbers in a row are arrays of it, there and back, and its
// single numbers what they hold.
func TestNumpy(t *testing.T) {
	o := &python.Options{Import: []string{"numpy"}}
	for _, interpreter := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(interpreter, "-c", "import numpy").Run() == nil {
			o.Interpreter = interpreter
			break
		}
	}
	if o.Interpreter == "" {
		t.Skip("no interpreter here has numpy")
	}
	p := newPool(t, 1, o)
	if got, err := call(t, p, python.Source[[]float64, string]("f", "def f(a): return type(a).__name__ + a.dtype.name"), []float64{1}); got != "ndarrayfloat64" || err != nil {
		t.Errorf("[]float64 is %q, %v", got, err)
	}
	if got, err := call(t, p, python.Source[[]int64, []int64]("f", "def f(a):\n a *= 2\n return a"), []int64{1, -2}); !slices.Equal(got, []int64{2, -4}) || err != nil {
		t.Errorf("doubled in its place: %v, %v", got, err)
	}
	same(t, p, []float64{1.5, -2}, []float64{})
	same(t, p, []uint64{1<<64 - 1})
	same(t, p, []int8{-1})
	same(t, p, []float32{0.5})
	for text, want := range map[string]any{
		"numpy.float64(0.5)":                  0.5,
		"numpy.int64(7)":                      int64(7),
		"[numpy.float64(0.5), numpy.int8(3)]": []any{0.5, int64(3)},
		"numpy.array([[1, 2], [3, 4]])":       []any{[]any{int64(1), int64(2)}, []any{int64(3), int64(4)}},
		"numpy.arange(6)[::2]":                []any{int64(0), int64(2), int64(4)},
		"numpy.bool_(True)":                   true,
	} {
		f := python.Source[python.None, any]("f", "import numpy\ndef f(): return "+text)
		if got, err := call(t, p, f, python.None{}); !reflect.DeepEqual(got, want) || err != nil {
			t.Errorf("%s = %#v, %v; want %#v", text, got, err, want)
		}
	}
}
