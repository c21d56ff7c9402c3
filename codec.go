package concert

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// An encoded value is one byte that says how, and then the value: the bytes
// of a []byte or a string; the elements of a slice of numbers, little endian,
// as many as there are; or one CBOR item.
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
	asNil // a nil slice of one of the kinds above
)

var (
	cborEncoder = must(cbor.EncOptions{Time: cbor.TimeRFC3339NanoUTC}.EncMode())
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

// encode returns the bytes of v. int and uint travel as 64 bits.
func encode[T any](v T) ([]byte, error) {
	switch v := any(v).(type) {
	case []byte:
		if v != nil {
			return append([]byte{asBytes}, v...), nil
		}
	case string:
		return append([]byte{asString}, v...), nil
	case []int8:
		return encodeNumbers(asInt8, v)
	case []int16:
		return encodeNumbers(asInt16, v)
	case []int32:
		return encodeNumbers(asInt32, v)
	case []int64:
		return encodeNumbers(asInt64, v)
	case []uint16:
		return encodeNumbers(asUint16, v)
	case []uint32:
		return encodeNumbers(asUint32, v)
	case []uint64:
		return encodeNumbers(asUint64, v)
	case []float32:
		return encodeNumbers(asFloat32, v)
	case []float64:
		return encodeNumbers(asFloat64, v)
	default:
		b, err := cborEncoder.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("%T cannot be encoded: %w", v, err)
		}
		return append([]byte{asCBOR}, b...), nil
	}
	return []byte{asNil}, nil
}

func encodeNumbers[N any](kind byte, v []N) ([]byte, error) {
	if v == nil {
		return []byte{asNil}, nil
	}
	var n N
	b := make([]byte, 1, 1+len(v)*int(reflect.TypeOf(n).Size()))
	b[0] = kind
	return binary.Append(b, binary.LittleEndian, v)
}

// decode is the reverse of encode. The bytes may come from anywhere: sizes
// follow from their number, so nothing larger than they are is allocated at
// their word.
func decode[T any](b []byte) (v T, err error) {
	if len(b) == 0 {
		return v, fmt.Errorf("no bytes for a %T", v)
	}
	kind, b := b[0], b[1:]
	switch p := any(&v).(type) {
	case *[]byte:
		if kind == asBytes {
			*p = append([]byte{}, b...)
			return v, nil
		}
	case *string:
		if kind == asString {
			*p = string(b)
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
			if err := cborDecoder.Unmarshal(b, &v); err != nil {
				return v, fmt.Errorf("%T cannot be decoded: %w", v, err)
			}
			return v, nil
		}
	}
	if _, bytes := any(v).([]byte); bytes && kind == asNil && len(b) == 0 {
		return v, nil
	}
	return v, fmt.Errorf("%T cannot be decoded from kind %d", v, kind)
}

func decodeNumbers[N any](kind, want byte, b []byte, v *[]N) error {
	if kind == asNil && len(b) == 0 {
		return nil
	}
	var n N
	size := int(reflect.TypeOf(n).Size())
	if kind != want || len(b)%size != 0 {
		return fmt.Errorf("%T cannot be decoded from kind %d with %d bytes", *v, kind, len(b))
	}
	*v = make([]N, len(b)/size)
	_, err := binary.Decode(b, binary.LittleEndian, *v)
	return err
}
