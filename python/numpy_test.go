package python_test

import (
	"os/exec"
	"reflect"
	"testing"

	"concert/python"
)

// withNumPy returns the options of a pool that imports numpy. It skips the test
// if no interpreter has numpy.
func withNumPy(t *testing.T) *python.Options {
	t.Helper()
	for _, interpreter := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(interpreter, "-c", "import numpy").Run() == nil {
			return &python.Options{Interpreter: interpreter, Import: []string{"numpy"}}
		}
	}
	t.Skip("no interpreter here has numpy")
	return nil
}

// TestNumPy_RoundTrip: the interpreter has imported NumPy. Slices of numbers
// must return unchanged. Arrays of NumPy must arrive as slices or as Arrays,
// and scalars of NumPy as numbers.
func TestNumPy_RoundTrip(t *testing.T) {
	t.Parallel()
	p := newPool(t, 1, withNumPy(t))
	same(t, p, []float64{1.5, -2}, []float64{})
	same(t, p, []uint64{1<<64 - 1})
	same(t, p, []int8{-1})
	same(t, p, []float32{0.5})
	for text, want := range map[string]any{
		"numpy.float64(0.5)":                  0.5,
		"numpy.int64(7)":                      int64(7),
		"[numpy.float64(0.5), numpy.int8(3)]": []any{0.5, int64(3)},
		"numpy.array([[1, 2], [3, 4]])":       python.Array[int64]{Shape: []int{2, 2}, Data: []int64{1, 2, 3, 4}},
		"numpy.arange(6)[::2]":                []int64{0, 2, 4},
		"numpy.bool_(True)":                   true,
	} {
		t.Run(text, func(t *testing.T) {
			f := python.Source[python.None, any]("f", "import numpy\ndef f(): return "+text)
			if got, err := call(t, p, f, python.None{}); !reflect.DeepEqual(got, want) || err != nil {
				t.Errorf("%s = %#v, %v; want %#v", text, got, err, want)
			}
		})
	}
}
