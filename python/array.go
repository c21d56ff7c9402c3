package python

import (
	"math"
	"reflect"
	"strconv"
)

// Element is a type of elements of an [Array].
type Element interface {
	bool | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64 | complex64 | complex128
}

// Array is an array with a shape. An Array in an argument, at any depth,
// becomes a numpy.ndarray that has its own memory, and the dtype that
// corresponds to T. If the interpreter has no numpy, the call fails. In a
// result, an Array can receive an array of numpy, an array.array or a
// memoryview, if T can represent each number exactly.
//
// To send a numpy.ndarray of one dimension, use an Array, too: a []float64
// always becomes an array.array.
type Array[T Element] struct {
	// Shape has the length of each dimension. A nil Shape means one dimension
	// of length len(Data). An empty Shape that is not nil means that the array
	// is a single number.
	Shape []int

	// Data has the elements in row-major order (C order). Its length is the
	// product of the numbers in Shape.
	Data []T
}

// shaped is implemented by Array[T] for each T.
type shaped interface {
	parts() (shape []int, data reflect.Value)
}

func (a Array[T]) parts() ([]int, reflect.Value) { return a.Shape, reflect.ValueOf(a.Data) }

// arrayTypes has the type of Array for each kind of element.
var arrayTypes = map[reflect.Kind]reflect.Type{
	reflect.Bool: reflect.TypeFor[Array[bool]](),
	reflect.Int8: reflect.TypeFor[Array[int8]](), reflect.Int16: reflect.TypeFor[Array[int16]](),
	reflect.Int32: reflect.TypeFor[Array[int32]](), reflect.Int64: reflect.TypeFor[Array[int64]](),
	reflect.Uint8: reflect.TypeFor[Array[uint8]](), reflect.Uint16: reflect.TypeFor[Array[uint16]](),
	reflect.Uint32: reflect.TypeFor[Array[uint32]](), reflect.Uint64: reflect.TypeFor[Array[uint64]](),
	reflect.Float32: reflect.TypeFor[Array[float32]](), reflect.Float64: reflect.TypeFor[Array[float64]](),
	reflect.Complex64: reflect.TypeFor[Array[complex64]](), reflect.Complex128: reflect.TypeFor[Array[complex128]](),
}

func isArray(t reflect.Type) bool {
	for _, a := range arrayTypes {
		if a == t {
			return true
		}
	}
	return false
}

// maxDims is the number of dimensions that every version of numpy supports.
const maxDims = 32

func (e *encoder) encodeArray(a shaped) error {
	shape, data := a.parts()
	if shape == nil {
		shape = []int{data.Len()}
	}
	n, ok := elements(shape)
	if !ok || n != data.Len() {
		return fail("an Array of shape %v cannot have %d elements: the length of Data must be the product of Shape", shape, data.Len())
	}
	d := dtypeOf(data.Type().Elem().Kind())
	e.form(e.viewed(formNumpy), 3)
	if err := e.text(d.name); err != nil {
		return err
	}
	e.buf, _ = appendHead(e.buf, '(', len(shape))
	for _, n := range shape {
		e.buf = appendInt(e.buf, int64(n))
	}
	return e.array(littleEndian(memory(data, d.size), d.unit()))
}

// elements returns the number of elements of an array with this shape, which
// is the product of the dimensions. It returns false in three cases: a
// dimension is negative or too large, there are too many dimensions, or
// there are too many elements.
func elements(shape []int) (int, bool) {
	if len(shape) > maxDims {
		return 0, false
	}
	n, empty := 1, false
	for _, dim := range shape {
		if dim < 0 || dim > math.MaxInt32 {
			return 0, false
		}
		if empty = empty || dim == 0; dim == 0 {
			continue
		}
		if n > 1<<40/dim {
			return 0, false
		}
		n *= dim
	}
	if empty {
		return 0, true
	}
	return n, true
}

func itoa(i int) string { return strconv.Itoa(i) }
