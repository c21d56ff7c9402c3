package python

import (
	"math"
	"reflect"
	"unsafe"
)

// This file decodes flat structs: see flat.go.

// decode decodes a dict into the struct at v. The slice b begins with the
// first key. decode returns the bytes after the dict. It reports false if
// there is no field for a key, or if a value does not have the type that the
// Go type suggests.
func (s *flatStruct) decode(b []byte, v unsafe.Pointer) (rest []byte, ok bool) {
	var filled uint64
	for next := 0; ; next++ {
		if len(b) > 0 && b[0] == '0' {
			return b[1:], true
		}
		i := next // usually, the order of the keys is the order of the fields
		if i < len(s.fields) && len(b) >= len(s.fields[i].key) && string(b[:len(s.fields[i].key)]) == s.fields[i].key {
			b = b[len(s.fields[i].key):]
		} else {
			if len(b) == 0 || b[0] != 'u' {
				return nil, false
			}
			text, ok := peekText(b[1:])
			if !ok {
				return nil, false
			}
			if i, ok = s.byName[string(text)]; !ok {
				return nil, false
			}
			b = b[5+len(text):]
		}
		if filled>>i&1 == 1 {
			return nil, false // two keys are for the same field
		}
		filled |= 1 << i
		f := &s.fields[i]
		if b, ok = decodeFlat(f.kind, b, unsafe.Add(v, f.offset)); !ok {
			return nil, false
		}
		next = i
	}
}

// decodeFlat decodes a value into the variable at v, which has the given
// kind. It returns the bytes after the value.
func decodeFlat(kind reflect.Kind, b []byte, v unsafe.Pointer) (rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false
	}
	switch kind {
	case reflect.String:
		text, ok := peekText(b[1:])
		if b[0] != 'u' || !ok {
			return nil, false
		}
		*(*string)(v) = string(text)
		return b[5+len(text):], true
	case reflect.Slice:
		if b[0] == 'N' {
			*(*[]byte)(v) = nil
			return b[1:], true
		}
		if b[0] != 's' || len(b) < 5 || uint64(le.Uint32(b[1:])) > uint64(len(b)-5) {
			return nil, false
		}
		n := 5 + int(le.Uint32(b[1:]))
		*(*[]byte)(v) = append([]byte{}, b[5:n]...)
		return b[n:], true
	case reflect.Bool:
		*(*bool)(v) = b[0] == 'T'
		return b[1:], b[0] == 'T' || b[0] == 'F'
	case reflect.Float32, reflect.Float64:
		if b[0] != 'g' || len(b) < 9 {
			return nil, false
		}
		f := math.Float64frombits(le.Uint64(b[1:]))
		if kind == reflect.Float64 {
			*(*float64)(v) = f
			return b[9:], true
		}
		*(*float32)(v) = float32(f)
		return b[9:], narrow(f)
	}
	n, rest, ok := peekInt(b)
	return rest, ok && storeInt(kind, n, v)
}

// storeInt stores an int in the variable at v, if the variable can hold it.
func storeInt(kind reflect.Kind, n int64, v unsafe.Pointer) bool {
	switch kind {
	case reflect.Int:
		return storeAs[int](n, v)
	case reflect.Int64:
		return storeAs[int64](n, v)
	case reflect.Int32:
		return storeAs[int32](n, v)
	case reflect.Int16:
		return storeAs[int16](n, v)
	case reflect.Int8:
		return storeAs[int8](n, v)
	case reflect.Uint:
		return storeAs[uint](n, v)
	case reflect.Uint64:
		return storeAs[uint64](n, v)
	case reflect.Uint32:
		return storeAs[uint32](n, v)
	case reflect.Uint16:
		return storeAs[uint16](n, v)
	case reflect.Uint8:
		return storeAs[uint8](n, v)
	case reflect.Uintptr:
		return storeAs[uintptr](n, v)
	}
	return false
}

// storeAs does the same as storeInt for the type T.
func storeAs[T int | int8 | int16 | int32 | int64 | uint | uint8 | uint16 | uint32 | uint64 | uintptr](n int64, v unsafe.Pointer) bool {
	to := (*T)(v)
	*to = T(n)
	return int64(*to) == n && (*to < 0) == (n < 0)
}

// peekInt returns an int at the beginning of b, and the bytes after it. It
// reports false for ints that an int64 cannot hold, and for other values.
func peekInt(b []byte) (n int64, rest []byte, ok bool) {
	if len(b) < 5 {
		return 0, nil, false
	}
	word := int32(le.Uint32(b[1:]))
	if b[0] == 'i' {
		return int64(word), b[5:], true
	}
	count := int(max(word, -word))
	if b[0] != 'l' || count < 0 || count > 5 || len(b) < 5+2*count {
		return 0, nil, false
	}
	for i := count - 1; i >= 0; i-- {
		digit := le.Uint16(b[5+2*i:])
		if digit > 0x7fff || i == 4 && digit > 7 {
			return 0, nil, false // invalid, or more than 63 bits
		}
		n = n<<15 | int64(digit)
	}
	if word < 0 {
		n = -n
	}
	return n, b[5+2*count:], true
}
