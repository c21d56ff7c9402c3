package executor

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	"concert/internal/values"
)

// Encoded is a value as it is sent between processes: the kind of its encoding,
// and its bytes. The bytes may be the value's own memory. They must not be
// changed, and they are valid only until their call settles.
type Encoded struct {
	Kind  byte
	Bytes []byte
}

// The kinds of Encoded. A []byte and a string are encoded as their bytes, a
// slice of numbers as its elements in little endian. asCBOR is one CBOR item,
// which can encode a value of any type.
const (
	asCBOR byte = iota
	asBytes
	asString
	asInt8
	asInt16
	asInt32
	asInt64
	asUint16
	asUint32
	asUint64
	asFloat32
	asFloat64
	asNil     // a nil slice of one of the kinds above
	asInt     // 8 bytes, little endian: int, int64
	asUint    // 8 bytes, little endian: uint, uint64
	asFloat   // 8 bytes, little endian: float64
	asBool    // one byte, 0 or 1
	asForeign // bytes of a Codec

	asMapped byte = 1 << 7 // set in the kind of a mapped result, see mapped.go; the other bits are the kind of its slice
)

var (
	cborEncoder = must(cbor.EncOptions{}.EncMode())
	cborDecoder = must(cbor.DecOptions{
		MaxNestedLevels:  256,
		MaxArrayElements: math.MaxInt32,
		MaxMapPairs:      math.MaxInt32,
		DefaultMapType:   reflect.TypeFor[map[string]any](),
		UTF8:             cbor.UTF8DecodeInvalid, // Go strings are bytes
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Raw reports whether the bytes are a []byte, a string or the elements of a
// slice of numbers. Such bytes are only copied when they are decoded.
func (e Encoded) Raw() bool {
	kind := e.Kind &^ asMapped
	return asBytes <= kind && kind <= asFloat64
}

// Mapped reports whether the value is a handle with a slice of numbers. The
// bytes are the elements of the slice. An executor that can give the memory of
// these bytes to the submitter calls [Batch.SettleMapped].
func (e Encoded) Mapped() bool { return e.Kind&asMapped != 0 }

// encode returns the encoded form of v. int and uint are encoded as 64 bits.
// The encoded bytes of a []byte, a string or a slice of numbers are the memory
// of v, not a copy.
func encode[T any](v T) (Encoded, error) {
	e, _, err := encodeTo(values.Work{}, nil, v, nil)
	return e, err
}

// encodeTo does the same as encode, but appends the bytes of a scalar to buf
// instead of allocating them. It returns buf with these bytes, for the next
// value.
func encodeTo[T any](w values.Work, buf []byte, v T, codec Codec) (Encoded, []byte, error) {
	if e, buf, ok := encodeSimple(buf, v); ok {
		return e, buf, nil
	}
	e, err := encodeLarge(w, v, codec)
	return e, buf, err
}

// encodeSimple encodes v if isSimple is true for its type, and otherwise
// reports false. It appends the bytes of a scalar to buf. It is not part of
// encodeLarge, so that v stays on the stack: in encodeLarge, v escapes to the
// heap.
func encodeSimple[T any](buf []byte, v T) (e Encoded, _ []byte, ok bool) {
	le, start := binary.LittleEndian, len(buf)
	switch p := any(&v).(type) {
	case *int:
		e.Kind, buf = asInt, le.AppendUint64(buf, uint64(*p))
	case *int64:
		e.Kind, buf = asInt, le.AppendUint64(buf, uint64(*p))
	case *uint:
		e.Kind, buf = asUint, le.AppendUint64(buf, uint64(*p))
	case *uint64:
		e.Kind, buf = asUint, le.AppendUint64(buf, *p)
	case *float64:
		e.Kind, buf = asFloat, le.AppendUint64(buf, math.Float64bits(*p))
	case *bool:
		e.Kind, buf = asBool, append(buf, 0)
		if *p {
			buf[start] = 1
		}
	case *string:
		return Encoded{asString, unsafe.Slice(unsafe.StringData(*p), len(*p))}, buf, true
	case *[]byte:
		return encodeRaw(asBytes, *p), buf, true
	default:
		return e, buf, false
	}
	e.Bytes = buf[start:len(buf):len(buf)]
	return e, buf, true
}

// scalarSize is the maximum number of bytes of an encoded scalar.
const scalarSize = 8

// isScalar reports whether values of type T are scalars: numbers of 8 bytes, or
// bools.
func isScalar[T any]() bool {
	switch any((*T)(nil)).(type) {
	case *int, *int64, *uint, *uint64, *float64, *bool:
		return true
	}
	return false
}

// isSimple reports whether values of type T are scalars, strings or slices
// of bytes. Such values are encoded without a Codec, and their encoding
// cannot fail.
func isSimple[T any]() bool {
	switch any((*T)(nil)).(type) {
	case *string, *[]byte:
		return true
	}
	return isScalar[T]()
}

// encodeLarge encodes a value that encodeSimple does not encode. If the type of
// the value has no kind of its own in Encoded, encodeLarge uses codec, or CBOR
// if codec is nil.
func encodeLarge[T any](w values.Work, v T, codec Codec) (Encoded, error) {
	if codec != nil {
		return encodeByCodec(w, v, codec)
	}
	// The function decode knows only the type T. If T is an interface type,
	// the encoding must contain the name of the value's type: CBOR does.
	if reflect.TypeFor[T]().Kind() != reflect.Interface {
		if e, ok := encodePlain(v); ok {
			return e, nil
		}
	}
	b, err := valueCodec.EncodeWithin(w, nil, reflect.ValueOf(&v), nil)
	return Encoded{asCBOR, b}, err
}

// encodeByCodec does the same as encodeLarge with a Codec that is not nil.
func encodeByCodec(w values.Work, v any, codec Codec) (Encoded, error) {
	shared, refers := codec.(SharedCodec)
	if value, ok, err := SharedValue(v); err != nil {
		return Encoded{}, err
	} else if ok && !refers {
		return encodeByCodec(w, value, codec)
	}
	if e, ok := encodePlain(v); ok {
		return e, nil
	}
	if w.Small && values.Large(reflect.ValueOf(v), func(part any) bool { return refers && isStored(w.To, part, shared) }) {
		return Encoded{}, values.ErrLarge
	}
	var b []byte
	var err error
	if refers {
		b, err = shared.EncodeReferences(v, referenceFor(w, shared))
	} else {
		b, err = codec.Encode(v)
	}
	return Encoded{asForeign, b}, err
}

// encodePlain encodes v if v is a []byte, a string or a slice of numbers. ok is
// false if v has another type.
func encodePlain(v any) (e Encoded, ok bool) {
	switch v := v.(type) {
	case []byte:
		return encodeRaw(asBytes, v), true
	case string:
		return Encoded{asString, unsafe.Slice(unsafe.StringData(v), len(v))}, true
	case []int8:
		return encodeRaw(asInt8, v), true
	case []int16:
		return encodeRaw(asInt16, v), true
	case []int32:
		return encodeRaw(asInt32, v), true
	case []int64:
		return encodeRaw(asInt64, v), true
	case []uint16:
		return encodeRaw(asUint16, v), true
	case []uint32:
		return encodeRaw(asUint32, v), true
	case []uint64:
		return encodeRaw(asUint64, v), true
	case []float32:
		return encodeRaw(asFloat32, v), true
	case []float64:
		return encodeRaw(asFloat64, v), true
	}
	return e, false
}

// bigEndian reports whether this processor stores numbers in big endian.
// Encoded values are in little endian.
var bigEndian = binary.NativeEndian.Uint16([]byte{1, 0}) != 1

// encodeRaw encodes a slice of numbers. On a little endian processor, the
// encoded bytes are the memory of the slice.
func encodeRaw[N any](kind byte, v []N) Encoded {
	if v == nil {
		return Encoded{Kind: asNil}
	}
	var n N
	size := int(unsafe.Sizeof(n))
	if size > 1 && bigEndian {
		return Encoded{kind, must(binary.Append(nil, binary.LittleEndian, v))}
	}
	return Encoded{kind, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size)}
}

// decode is the reverse of the function encode. It returns a copy. The bytes
// may be hostile, so decode does not trust sizes that they contain: it computes
// sizes from the number of bytes.
func decode[T any](e Encoded) (v T, err error) { return decodeWithin[T](values.Work{}, e) }

// decodeWithin does the same as decode, but stops with an error when it
// exceeds the bounds of w.
func decodeWithin[T any](w values.Work, e Encoded) (v T, err error) {
	if v, ok := decodeSimple[T](e); ok {
		return v, nil
	}
	return decodeLarge[T](w, e)
}

// decodeSimple decodes a value if isSimple is true for T. It reports false if
// the value is large, or if its kind is not the kind of T. The result does not
// refer to e.Bytes.
func decodeSimple[T any](e Encoded) (v T, ok bool) {
	var word uint64
	if len(e.Bytes) == scalarSize {
		word = binary.LittleEndian.Uint64(e.Bytes)
	} else if e.Kind >= asInt && e.Kind <= asFloat {
		return v, false
	}
	switch p := any(&v).(type) {
	case *int:
		*p = int(word)
		return v, e.Kind == asInt && int64(int(word)) == int64(word)
	case *int64:
		*p = int64(word)
		return v, e.Kind == asInt
	case *uint:
		*p = uint(word)
		return v, e.Kind == asUint && uint64(uint(word)) == word
	case *uint64:
		*p = word
		return v, e.Kind == asUint
	case *float64:
		*p = math.Float64frombits(word)
		return v, e.Kind == asFloat
	case *bool:
		*p = len(e.Bytes) == 1 && e.Bytes[0] == 1
		return v, e.Kind == asBool && len(e.Bytes) == 1 && e.Bytes[0] <= 1
	case *string:
		if e.Kind == asString && len(e.Bytes) <= copyUnit {
			*p = string(e.Bytes)
			return v, true
		}
	case *[]byte:
		if e.Kind == asBytes && len(e.Bytes) <= copyUnit {
			*p = cloned(e.Bytes)
			return v, true
		}
	}
	return v, false
}

func decodeLarge[T any](w values.Work, e Encoded) (v T, err error) {
	kind, b := e.Kind, e.Bytes
	switch p := any(&v).(type) {
	case *[]byte:
		if kind == asBytes {
			*p = cloned(b)
			return v, nil
		}
	case *string:
		if kind == asString {
			*p = unsafe.String(unsafe.SliceData(cloned(b)), len(b))
			return v, nil
		}
	case *[]int8:
		return v, decodeNumbers(kind, asInt8, b, p)
	case *[]int16:
		return v, decodeNumbers(kind, asInt16, b, p)
	case *[]int32:
		return v, decodeNumbers(kind, asInt32, b, p)
	case *[]int64:
		return v, decodeNumbers(kind, asInt64, b, p)
	case *[]uint16:
		return v, decodeNumbers(kind, asUint16, b, p)
	case *[]uint32:
		return v, decodeNumbers(kind, asUint32, b, p)
	case *[]uint64:
		return v, decodeNumbers(kind, asUint64, b, p)
	case *[]float32:
		return v, decodeNumbers(kind, asFloat32, b, p)
	case *[]float64:
		return v, decodeNumbers(kind, asFloat64, b, p)
	default:
		if kind == asCBOR {
			err := valueCodec.DecodeWithin(w, b, reflect.ValueOf(&v))
			return v, err
		}
		if e.Mapped() || e.Raw() || kind == asNil {
			if h := mappedOf(p, true); h != nil {
				err := h.setMapped(e, nil)
				return v, err
			}
		}
	}
	if _, bytes := any(v).([]byte); bytes && kind == asNil && len(b) == 0 {
		return v, nil
	}
	return v, fmt.Errorf("a value of type %T cannot be decoded from the kind %d", v, kind)
}

func decodeNumbers[N any](kind, want byte, b []byte, v *[]N) error {
	if kind == asNil && len(b) == 0 {
		return nil
	}
	var n N
	size := int(unsafe.Sizeof(n))
	if kind != want || len(b)%size != 0 {
		return fmt.Errorf("a value of type %T cannot be decoded from the kind %d with %d bytes", *v, kind, len(b))
	}
	if size > 1 && bigEndian {
		*v = make([]N, len(b)/size)
		_, err := binary.Decode(b, binary.LittleEndian, *v)
		return err
	}
	if len(b) > copyUnit {
		*v = unsafe.Slice((*N)(unsafe.Pointer(unsafe.SliceData(cloned(b)))), len(b)/size) // the copy begins at a page, so it is aligned for N
		return nil
	}
	*v = make([]N, len(b)/size)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(*v))), len(b)), b)
	return nil
}

const copyUnit = 256 << 10

// cloned returns a copy of b. The copy is not nil, even if b is nil. cloned
// copies a large slice in parts, because the garbage collector cannot stop a
// goroutine within a copy, and would spin until a long copy has ended. cloned
// uses a Builder, which does not clear its memory first.
func cloned(b []byte) []byte {
	if len(b) <= copyUnit {
		return append([]byte{}, b...)
	}
	var c strings.Builder
	c.Grow(len(b))
	for part := range slices.Chunk(b, copyUnit) {
		c.Write(part)
	}
	return unsafe.Slice(unsafe.StringData(c.String()), len(b))
}
