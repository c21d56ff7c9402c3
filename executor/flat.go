package executor

import "reflect"

// flatCodec is an optional interface of a [Codec]. It encodes and decodes small
// values of flat types in less time than Encode and Decode. For example, a
// struct of numbers and texts has a flat type. A Map uses flatCodec, because it
// has many such values.
type flatCodec interface {
	// Flat returns functions for the type t, or nil if the type is not flat.
	// Both functions receive a pointer to a value of this type, and run no
	// user code.
	Flat(t reflect.Type) *Flat
}

// Flat encodes and decodes values of one type for a [Codec].
type Flat struct {
	// Append appends the encoded bytes of the value *p to b, as a Foreign
	// value has them. If Append cannot encode the value, for example because
	// the value is large, it reports false and returns b unchanged. The value
	// is then encoded in another way.
	Append func(b []byte, p any) ([]byte, bool)
	// Decode decodes a Foreign value, and stores it in *p. If it cannot decode
	// the value, it reports false, and may have changed *p. Then the codec
	// decodes the value by its method Decode.
	Decode func(b []byte, p any) bool
}

// flatOf returns the functions of a codec for values of type T, or nil.
func flatOf[T any](codec Codec) *Flat {
	if c, ok := codec.(flatCodec); ok {
		return c.Flat(reflect.TypeFor[T]())
	}
	return nil
}

// flatBuffer allocates the bytes of encoded values of a flat type. Many values
// share an allocation.
type flatBuffer struct {
	last    []byte // the bytes of the last value; free memory follows them
	largest int    // size of the largest value, but at most maxFlatBuffer/8
}

// maxFlatBuffer is the maximum size of an allocation for more than one value.
const maxFlatBuffer = 64 << 10

// append encodes the value *p. It reports false if the function Flat.Append
// does. more is the expected number of values that follow.
func (f *flatBuffer) append(flat *Flat, p any, more int) (Encoded, bool) {
	free := f.last[len(f.last):]
	if cap(free) < max(2*f.largest, 64) {
		free = make([]byte, 0, max(256, min(maxFlatBuffer, (f.largest+f.largest/4)*(more+1))))
	}
	b, ok := flat.Append(free, p)
	f.last = b // in a separate allocation if the value is larger than the free memory
	if !ok {
		return Encoded{}, false
	}
	f.largest = max(f.largest, min(len(b), maxFlatBuffer/8))
	return Encoded{asForeign, b[:len(b):len(b)]}, true
}
