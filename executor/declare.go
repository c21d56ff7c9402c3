package executor

import (
	"context"
	"errors"
	"fmt"
)

// Declare gives a name to a function that exists only in the workers of another
// program, perhaps in another language. The workers find the function by this
// name. The function that Declare returns can be submitted, like a registered
// function, to an executor that has such workers. If the function is called in
// this program, or run by an executor without such workers, its error wraps
// [ErrElsewhere].
//
// Numbers, bool, string, []byte and slices of numbers are sent in the same way
// as for registered functions. All other values are encoded by the codec.
//
// A name may be declared several times with the same codec and different types;
// all of them are the same function. Declare panics if the name is empty, if it
// belongs to a registered function or has another codec, or if the codec is
// nil.
func Declare[In, Out any](name string, codec Codec) func(context.Context, In) (Out, error) {
	if name == "" || codec == nil {
		panic("concert: Declare with an empty name or without a codec")
	}
	fn := func(context.Context, In) (out Out, _ error) {
		return out, elsewhere(name)
	}
	registry.add(&Function{
		name: name, keep: []any{fn}, codec: codec,
		call: func(context.Context, Encoded, []byte, bool) (Encoded, error) {
			return Encoded{}, elsewhere(name)
		},
		types: func() string { return fmt.Sprintf("%T", codec) },
	}, valuePointer(fn), codePointer(fn))
	return fn
}

// elsewhere returns the error of a declared function that was called in this
// process, where it does not exist.
func elsewhere(name string) error {
	return fmt.Errorf("%w: %s: submit it to an executor whose workers have this function, see the documentation of the package that declares it", ErrElsewhere, name)
}

// ErrElsewhere is wrapped by the error of a declared function that is run where
// it does not exist.
var ErrElsewhere = errors.New("concert: the function runs only in workers that have it")

// Codec encodes values for workers in another language, and decodes their
// results. Its methods must be safe for concurrent use.
type Codec interface {
	// Encode returns the encoded bytes of v. It is not called for numbers,
	// bools, strings and slices of numbers.
	Encode(v any) ([]byte, error)
	// Decode decodes a result, and stores it in the variable that v points to.
	// It is called for bytes that the codec of the worker has encoded, and for
	// a plain value of another type than the variable. The bytes may be
	// hostile, and must not be kept.
	Decode(result Encoded, v any) error
}

// SharedCodec is a [Codec] for workers that receive shared values; see
// [Sharer].
type SharedCodec interface {
	Codec
	// EncodeShared returns the encoded bytes of v, a value that an executor
	// stores. Like Encode, it is not called for bools, strings and slices of
	// numbers.
	EncodeShared(v any) ([]byte, error)
	// EncodeReferences is called for arguments instead of Encode. It calls
	// reference for each handle in v, and for v if v is a handle. If reference
	// returns an ID, the encoding must refer to the stored value with this ID.
	// Otherwise it must contain the value; see [SharedValue].
	EncodeReferences(v any, reference func(handle any) (SharedID, bool)) ([]byte, error)
}

// Foreign reports whether a Codec has encoded the value.
func (e Encoded) Foreign() bool { return e.Kind == asForeign }

// plainDecoders has the decoder of each kind that has a plain value.
var plainDecoders = [...]func(Encoded) (any, error){
	asInt: decodeAny[int64], asUint: decodeAny[uint64], asFloat: decodeAny[float64], asBool: decodeAny[bool],
	asNil:   func(Encoded) (any, error) { return nil, nil },
	asBytes: decodeAny[[]byte], asString: decodeAny[string],
	asInt8: decodeAny[[]int8], asInt16: decodeAny[[]int16], asInt32: decodeAny[[]int32], asInt64: decodeAny[[]int64],
	asUint16: decodeAny[[]uint16], asUint32: decodeAny[[]uint32], asUint64: decodeAny[[]uint64],
	asFloat32: decodeAny[[]float32], asFloat64: decodeAny[[]float64],
}

func decodeAny[T any](e Encoded) (any, error) { return decode[T](e) }

// Plain returns a copy of a value that is not Foreign: an int64, uint64,
// float64, bool, string, []byte or slice of numbers. It returns nil for a nil
// slice.
func (e Encoded) Plain() (v any, err error) {
	if int(e.Kind) < len(plainDecoders) && plainDecoders[e.Kind] != nil {
		if v, err := plainDecoders[e.Kind](e); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("concert: cannot decode a plain value from the kind %d with %d bytes", e.Kind, len(e.Bytes))
}
