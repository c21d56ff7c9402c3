package python

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// The codec encodes plain data in version 2 of the format of Python's
// marshal module, which CPython reads and writes in C. This version has not
// changed since Python 2.5. It has no references, so a value cannot contain
// itself. It supports the types of plain data, and few other types.
// According to the documentation of marshal, Python may change the format.
// So each worker encodes a sample when it starts, and fails if the result is
// different.
//
//	N                    None
//	T, F                 True, False
//	i int32              int
//	l count digits       int: |count| digits of 15 bits; count is negative for a negative int
//	g float64            float
//	y float64 float64    complex
//	s length bytes       bytes
//	u length bytes       str, as UTF-8; a lone surrogate has three bytes, see text.go
//	[ ( count items      list, tuple
//	< > count items      set, frozenset
//	{ key value ... 0    dict
//	{ ... . i count 0    dict whose last key is Ellipsis, with the number of other entries as
//	                     the value; if Python's dict has fewer entries, two keys of the
//	                     map are equal in Python; only in arguments
//	.                    Ellipsis
//
// All numbers are little endian. Lengths and counts are int32.
//
// All other values are encoded as forms. A form is a tuple that begins with
// Ellipsis and the number of the form. No plain value begins in this way.
//
//	Ellipsis 0 typecode offset count          array.array, only in arguments
//	Ellipsis 1 dtype shape offset             numpy.ndarray, in arguments
//	Ellipsis 1 dtype shape bytes              array of any kind, in results
//	Ellipsis 2 year month day hour minute second microsecond nanosecond offset name
//	                                          datetime.datetime; offset (in seconds) and
//	                                          name are those of its zone, or None
//	Ellipsis 3 days seconds microseconds nanoseconds
//	                                          datetime.timedelta
//	Ellipsis 4 kind text                      date, time, Decimal, UUID, Path, or Fraction, whose
//	                                          two numbers are hexadecimal
//	Ellipsis 5 typecode offset counts         list of array.array, whose bytes are next to each
//	                                          other; a count of -1 is None; only in arguments
//	Ellipsis 6 ID                             value that the worker has, see sharedvalue.go; the
//	                                          ID is a bytes object; only in arguments
//	Ellipsis 7, 8, 9 ...                      as 0, 1, 5, in a shared value: a read-only
//	                                          memoryview, a read-only ndarray, a list of read-only
//	                                          memoryviews; the typecode of 7 may also be B
//
// An argument that has forms begins with a byte 1 and the length of its
// marshal data, a uint32. The bytes of arrays follow the marshal data, in
// the order of the forms of these arrays. The offset in a form counts from
// the first byte after the marshal data.
const (
	formArray = iota
	formNumpy
	formTime
	formDuration
	formText
	formRows
	formShared
	formView
	formNumpyView
	formRowsView
)

const (
	// extended is the first byte of an argument that has forms.
	extended = 1
	// extendedHead is the length of an argument's head before its marshal data.
	extendedHead = 5
)

// deepest is the maximum depth of nested values. The module marshal permits
// 2,000.
const deepest = 1000

var le = binary.LittleEndian

func appendHead(b []byte, kind byte, n int) ([]byte, error) {
	if n > math.MaxInt32 {
		return b, fail("%d elements or bytes are more than Python's marshal can hold", n)
	}
	return le.AppendUint32(append(b, kind), uint32(n)), nil
}

// appendForm begins a form with n items after its number.
func appendForm(b []byte, form, n int) []byte {
	b = le.AppendUint32(append(b, '('), uint32(2+n))
	return appendInt(append(b, '.'), int64(form))
}

func appendInt(b []byte, n int64) []byte {
	if int64(int32(n)) == n {
		return le.AppendUint32(append(b, 'i'), uint32(n))
	}
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	return appendDigits(b, magnitude, n < 0)
}

func appendUint(b []byte, n uint64) []byte {
	if n <= math.MaxInt32 {
		return appendInt(b, int64(n))
	}
	return appendDigits(b, n, false)
}

func appendDigits(b []byte, magnitude uint64, negative bool) []byte {
	start := len(b)
	b = append(b, 'l', 0, 0, 0, 0)
	count := int32(0)
	for ; magnitude > 0; magnitude >>= 15 {
		b = le.AppendUint16(b, uint16(magnitude&0x7fff))
		count++
	}
	if negative {
		count = -count
	}
	le.PutUint32(b[start+1:], uint32(count))
	return b
}

func appendBig(b []byte, n *big.Int) ([]byte, error) {
	if n.IsInt64() {
		return appendInt(b, n.Int64()), nil
	}
	count := (n.BitLen() + 14) / 15
	if count > math.MaxInt32 {
		return b, fail("an integer of %d bits is too large", n.BitLen())
	}
	signed := int32(count)
	if n.Sign() < 0 {
		signed = -signed
	}
	b = le.AppendUint32(append(b, 'l'), uint32(signed))
	// Convert bytes to digits of 15 bits, the least significant one first.
	bytes := new(big.Int).Abs(n).Bytes()
	slices.Reverse(bytes)
	bits, have := uint32(0), 0
	for _, x := range bytes {
		bits |= uint32(x) << have
		if have += 8; have >= 15 {
			b = le.AppendUint16(b, uint16(bits&0x7fff))
			bits, have, count = bits>>15, have-15, count-1
		}
	}
	if count > 0 {
		b = le.AppendUint16(b, uint16(bits&0x7fff))
	}
	return b, nil
}

func appendFloat(b []byte, f float64) []byte {
	return le.AppendUint64(append(b, 'g'), math.Float64bits(f))
}

func appendComplex(b []byte, c complex128) []byte {
	b = le.AppendUint64(append(b, 'y'), math.Float64bits(real(c)))
	return le.AppendUint64(b, math.Float64bits(imag(c)))
}

// valueError is the error of a value within an argument or a result, with
// the path of the value. Each function that handles a container adds one
// element to the path when it returns the error.
type valueError struct {
	path []string // innermost first
	err  error
}

// Error returns the path in the value, and the reason.
func (e *valueError) Error() string { return e.where("") + ": " + e.err.Error() }

// Unwrap returns the reason.
func (e *valueError) Unwrap() error { return e.err }

// where returns root followed by the path. It shortens a long path.
func (e *valueError) where(root string) string {
	where, path := root, slices.Clone(e.path)
	slices.Reverse(path)
	const most = 12
	for i, p := range path {
		if i == most {
			return where + "..."
		}
		where += p
	}
	return where
}

func fail(format string, args ...any) error {
	return &valueError{err: fmt.Errorf(format, args...)}
}

// within adds an element to the path of an error. The error must be an error
// of this package.
func within(err error, place string) error {
	if e, ok := err.(*valueError); ok {
		if len(e.path) < 2*deepest {
			e.path = append(e.path, place)
		}
		return e
	}
	return &valueError{path: []string{place}, err: err}
}

// finish returns the error that the user of this package gets for err. The
// parameter root is the name of the whole value.
func finish(err error, root string) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*valueError)
	if !ok {
		e = &valueError{err: err}
	}
	return fmt.Errorf("python: %s: %w", e.where(root), e.err)
}

// keyed returns the path element for a value in a dict, given its key.
func keyed(key reflect.Value) string {
	s := keyText(key)
	if len(s) > 80 {
		s = s[:80] + "..."
	}
	return "[" + s + "]"
}

// keyText returns the text of a key, for errors. It runs on goroutines of
// the pool, and thus must not call user code.
func keyText(key reflect.Value) string {
	for key.Kind() == reflect.Interface && !key.IsNil() {
		key = key.Elem()
	}
	if standardPackages[key.Type().PkgPath()] && key.CanInterface() {
		return fmt.Sprint(key)
	}
	switch key.Kind() {
	case reflect.Bool:
		return strconv.FormatBool(key.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(key.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.FormatUint(key.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(key.Float(), 'g', -1, key.Type().Bits())
	case reflect.Complex64, reflect.Complex128:
		return strconv.FormatComplex(key.Complex(), 'g', -1, key.Type().Bits())
	case reflect.String:
		return strconv.Quote(key.String())
	case reflect.Array:
		items := make([]string, min(key.Len(), 20))
		for i := range items {
			items[i] = keyText(key.Index(i))
		}
		return "[" + strings.Join(items, " ") + "]"
	case reflect.Interface:
		return "nil"
	}
	return key.Type().String()
}
