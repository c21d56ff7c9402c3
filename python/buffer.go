package python

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unsafe"
)

// dtype is a type of numbers in arrays.
type dtype struct {
	name     string // numpy's name, without the byte order
	kind     reflect.Kind
	size     int
	typecode string // the typecode of array.array; "" if slices of this type are not sent as array.array
}

var dtypes = []dtype{
	{"b1", reflect.Bool, 1, ""},
	{"i1", reflect.Int8, 1, "b"},
	{"i2", reflect.Int16, 2, "h"},
	{"i4", reflect.Int32, 4, "i"},
	{"i8", reflect.Int64, 8, "q"},
	{"u1", reflect.Uint8, 1, ""},
	{"u2", reflect.Uint16, 2, "H"},
	{"u4", reflect.Uint32, 4, "I"},
	{"u8", reflect.Uint64, 8, "Q"},
	{"f4", reflect.Float32, 4, "f"},
	{"f8", reflect.Float64, 8, "d"},
	{"c8", reflect.Complex64, 8, ""},
	{"c16", reflect.Complex128, 16, ""},
}

func dtypeOf(kind reflect.Kind) *dtype {
	for i := range dtypes {
		if dtypes[i].kind == kind {
			return &dtypes[i]
		}
	}
	return nil
}

// unit returns the size of the numbers to which the byte order applies. A
// complex number consists of two such numbers.
func (d *dtype) unit() int {
	if d.kind == reflect.Complex64 || d.kind == reflect.Complex128 {
		return d.size / 2
	}
	return d.size
}

var native = binary.NativeEndian

// bigEndian is true if this machine and the encoding have different byte
// orders.
var bigEndian = native.Uint16([]byte{1, 0}) != 1

// littleEndian converts numbers between the byte order of this machine and
// the byte order of the encoding, in either direction.
func littleEndian(b []byte, unit int) []byte {
	if !bigEndian || unit == 1 {
		return b
	}
	b = slices.Clone(b)
	for number := range slices.Chunk(b, unit) {
		slices.Reverse(number)
	}
	return b
}

// buffer is an array that a worker has sent.
type buffer struct {
	dtype
	tick  time.Duration // for times, the unit; for durations, the negated unit; for other types, 0
	shape []int
	b     []byte // in the byte order of this machine
	bytes bool   // the value is a bytes object of Python

	whole *buffer // the array that contains this array as a part, or nil
}

// what returns a description of the array, for errors.
func (a *buffer) what() string {
	name := a.numpy()
	switch {
	case a.bytes:
		return fmt.Sprintf("a bytes object of length %d", len(a.b))
	case a.tick > 0:
		name = "times"
	case a.tick < 0:
		name = "durations"
	}
	return fmt.Sprintf("an array of %s and shape %s", name, shapeText(a.shape))
}

// arrived returns the kind of the Python value from which the array was
// made, for errors.
func (a *buffer) arrived() arrived {
	if a.bytes {
		return aBytes
	}
	return anArray
}

// ticks has the units of times in arrays, by numpy's names.
var ticks = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": 1}

// errShape is wrapped by the error for an array that no Go type can hold.
var errShape = errors.New("the array cannot be received")

// notATime is numpy's NaT.
const notATime = -1 << 63

// newBuffer returns an array that a worker has sent. It checks the dtype, the
// shape and the number of bytes.
func newBuffer(name string, shape []int, b []byte) (*buffer, error) {
	a := &buffer{shape: shape}
	if len(name) > 4 && (name[:3] == "M8[" || name[:3] == "m8[") {
		a.dtype = *dtypeOf(reflect.Int64)
		if a.tick = ticks[name[3:len(name)-1]]; name[0] == 'm' {
			a.tick = -a.tick
		}
		if a.tick == 0 {
			return nil, fmt.Errorf("an array has times of the unsupported type %s", strconv.Quote(name))
		}
	} else if i := slices.IndexFunc(dtypes, func(d dtype) bool { return d.name == name }); i >= 0 {
		a.dtype = dtypes[i]
	} else {
		return nil, fmt.Errorf("an array has the unknown dtype %s", strconv.Quote(name))
	}
	n, ok := elements(shape)
	if !ok {
		return nil, fmt.Errorf("%w: %s has a dimension of more than %d, more than %d dimensions, or too many elements", errShape, a.what(), math.MaxInt32, maxDims)
	}
	if len(b)/a.size != n || len(b)%a.size != 0 {
		return nil, fmt.Errorf("%s cannot have %d bytes", a.what(), len(b))
	}
	a.b = littleEndian(b, a.unit())
	if a.kind == reflect.Bool {
		a.b = ones(a.b)
	}
	return a, nil
}

// ones converts bools from Python to bools of Go. In Python, every byte
// except 0 is true. In Go, the byte of a bool must be 0 or 1.
func ones(b []byte) []byte {
	at := slices.IndexFunc(b, func(x byte) bool { return x > 1 })
	if at < 0 {
		return b
	}
	b = slices.Clone(b)
	for i := range b[at:] {
		b[at+i] = min(b[at+i], 1)
	}
	return b
}

// shapeText returns a shape as Python writes it.
func shapeText(shape []int) string {
	s := "("
	for i, n := range shape {
		if i > 0 {
			s += ", "
		}
		s += itoa(n)
	}
	if len(shape) == 1 {
		s += ","
	}
	return s + ")"
}

// same reports whether values of type t have the same representation in memory
// as the items of the buffer. int and uint count as int64 and uint64 if they
// have 64 bits.
func (a *buffer) same(t reflect.Type) bool {
	if a.tick != 0 || infoOf(t).class != byKind {
		return false
	}
	switch k := t.Kind(); {
	case k == a.kind:
		return true
	case k == reflect.Int:
		return a.kind == reflect.Int64 && t.Size() == 8
	case k == reflect.Uint:
		return a.kind == reflect.Uint64 && t.Size() == 8
	}
	return false
}

// flat reports whether a value of type t has the same representation in
// memory as an array of the buffer's items that has this shape. For an empty
// shape, t is a number. For other shapes, t is an array, an array of arrays,
// and so on.
func (a *buffer) flat(t reflect.Type, shape []int) bool {
	for _, n := range shape {
		if t.Kind() != reflect.Array || t.Len() != n || infoOf(t).class != byKind {
			return false
		}
		t = t.Elem()
	}
	return a.same(t)
}

// natural returns the Go type that the array gets in a variable of type any.
// The array must have at least one dimension.
func (a *buffer) natural() reflect.Type {
	switch {
	case a.tick != 0:
		t := timeType
		if a.tick < 0 {
			t = durationType
		}
		for range a.shape {
			t = reflect.SliceOf(t)
		}
		return t
	case len(a.shape) == 1:
		return arrayTypes[a.kind].Field(1).Type
	}
	return arrayTypes[a.kind]
}

// decode stores the array in a Go variable.
func (a *buffer) decode(to reflect.Value) error {
	info := infoOf(to.Type())
	switch {
	case to.Kind() == reflect.Pointer && info.class == byKind:
		if to.IsNil() {
			if len(a.shape) == 0 && a.tick != 0 && a.int(0) == notATime {
				return nil // NaT
			}
			to.Set(reflect.New(to.Type().Elem()))
		}
		return a.decode(to.Elem())
	case info.class == arrayClass:
		return a.decodeArray(to)
	case len(a.shape) == 0:
		return a.decodeItem(to)
	case to.Kind() == reflect.Interface && to.NumMethod() == 0:
		v := reflect.New(a.natural()).Elem()
		err := a.decode(v)
		if err == nil {
			to.Set(v)
		}
		return err
	case info.class != byKind || to.Kind() != reflect.Slice && to.Kind() != reflect.Array:
		return mismatch(a.arrived(), a.what(), to)
	}
	n := a.shape[0]
	if to.Kind() == reflect.Slice {
		if n > len(a.b)+1<<16 {
			return fail("%s has no elements, but a dimension that is too large", a.what())
		}
		to.Set(reflect.MakeSlice(to.Type(), n, n))
	} else if to.Len() != n {
		return mismatch(a.arrived(), a.what(), to)
	}
	elem := to.Type().Elem()
	if n == 0 {
		return nil
	}
	if a.flat(elem, a.shape[1:]) {
		copy(memory(to, int(elem.Size())), a.b)
		return nil
	}
	if len(a.shape) > 1 && elem.Kind() == reflect.Slice && infoOf(elem).class == byKind && a.flat(elem.Elem(), a.shape[2:]) {
		a.decodeRows(to)
		return nil
	}
	if len(a.shape) == 1 && a.decodeNumbers(to) {
		return nil
	}
	part, size := *a, len(a.b)/n
	if part.whole == nil {
		part.whole = a
	}
	part.shape = a.shape[1:]
	for i := range n {
		part.b = a.b[i*size : (i+1)*size]
		if err := part.decode(to.Index(i)); err != nil {
			return within(err, "["+itoa(i)+"]")
		}
	}
	return nil
}

// decodeRows stores the array in a slice of slices whose items have the same
// representation as the items of the buffer. One allocation holds all items.
func (a *buffer) decodeRows(to reflect.Value) {
	n, row := a.shape[0], a.shape[1]
	all := reflect.MakeSlice(to.Type().Elem(), n*row, n*row)
	size := int(all.Type().Elem().Size())
	b := memory(all, size)
	copy(b, a.b)
	if row == 0 || size == 0 {
		for i := range n {
			to.Index(i).Set(all)
		}
		return
	}
	// All types of slices have the same form in memory: a pointer, a length and
	// a capacity. So the rows can be stored as [][]byte.
	rows := unsafe.Slice((*[]byte)(to.UnsafePointer()), n)
	for i := range n {
		rows[i] = b[i*row*size:][:row:row]
	}
}

// decodeNumbers stores the items of an array of one dimension in numbers of
// another type or in times. It is a fast path of decode. If decodeNumbers
// returns false, decode must store the items one by one.
func (a *buffer) decodeNumbers(to reflect.Value) bool {
	elem := to.Type().Elem()
	if a.tick > 0 && elem == timeType {
		for i := range a.shape[0] {
			n := a.int(i)
			if n == notATime {
				return false
			}
			*(*time.Time)(to.Index(i).Addr().UnsafePointer()) = timeOf(n, a.tick)
		}
		return true
	}
	if a.tick != 0 || infoOf(elem).class != byKind {
		return false
	}
	switch a.kind {
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32:
		switch zero := reflect.Zero(elem); {
		case zero.CanInt():
			for i := range a.shape[0] {
				n := a.int(i)
				if zero.OverflowInt(n) {
					return false
				}
				to.Index(i).SetInt(n)
			}
			return true
		case zero.CanUint():
			for i := range a.shape[0] {
				n := a.int(i)
				if n < 0 || zero.OverflowUint(uint64(n)) {
					return false
				}
				to.Index(i).SetUint(uint64(n))
			}
			return true
		}
	case reflect.Float32:
		if elem.Kind() == reflect.Float64 {
			for i := range a.shape[0] {
				to.Index(i).SetFloat(float64(math.Float32frombits(uint32(a.int(i)))))
			}
			return true
		}
	}
	return false
}

// timeOf returns the time that is n ticks after 1970-01-01 UTC. The
// parameter tick is the duration of a tick.
func timeOf(n int64, tick time.Duration) time.Time {
	per := int64(time.Second / tick)
	return time.Unix(n/per, n%per*int64(tick)).UTC()
}

// decodeArray stores the array in an Array.
func (a *buffer) decodeArray(to reflect.Value) error {
	if a.tick != 0 {
		return mismatch(anArray, a.what(), to)
	}
	flat := *a
	flat.whole = a
	n, _ := elements(a.shape)
	flat.shape = []int{n}
	data := reflect.New(to.Field(1).Type()).Elem()
	if err := flat.decode(data); err != nil {
		return err
	}
	to.Field(0).Set(reflect.ValueOf(append([]int{}, a.shape...)))
	to.Field(1).Set(data)
	return nil
}

// int returns item i as an integer. If the item is a float, the integer has the
// bits of the float.
func (a *buffer) int(i int) int64 {
	b := a.b[i*a.size:]
	switch a.size {
	case 1:
		if a.kind == reflect.Int8 {
			return int64(int8(b[0]))
		}
		return int64(b[0])
	case 2:
		if n := native.Uint16(b); a.kind == reflect.Int16 {
			return int64(int16(n))
		} else {
			return int64(n)
		}
	case 4:
		if n := native.Uint32(b); a.kind == reflect.Int32 {
			return int64(int32(n))
		} else {
			return int64(n)
		}
	}
	return int64(native.Uint64(b))
}

// decodeItem stores an array without dimensions in a Go variable. Such an
// array is a single number or time. The error names the array that contains
// the item.
func (a *buffer) decodeItem(to reflect.Value) error {
	err := a.setItem(to)
	if v, ok := err.(*valueError); ok && a.whole != nil {
		if m, ok := v.err.(*mismatchError); ok {
			m.array = a.whole
		}
	}
	return err
}

func (a *buffer) setItem(to reflect.Value) error {
	n := a.int(0)
	switch {
	case a.tick != 0 && n == notATime:
		return mismatch(aDatetime, "NaT (not a time)", to)
	case a.tick > 0:
		return setTime(to, timeOf(n, a.tick))
	case a.tick < 0:
		d := time.Duration(n) * -a.tick
		if d/-a.tick != time.Duration(n) {
			return mismatch(aTimedelta, fmt.Sprintf("a duration of %d times %v", n, -a.tick), to)
		}
		return setDuration(to, d)
	}
	switch a.kind {
	case reflect.Bool:
		return setBool(to, n != 0)
	case reflect.Uint64:
		return setUint(to, uint64(n))
	case reflect.Float32:
		return setFloat(to, float64(math.Float32frombits(uint32(n))))
	case reflect.Float64:
		return setFloat(to, math.Float64frombits(uint64(n)))
	case reflect.Complex64:
		return setComplex(to, complex(float64(math.Float32frombits(native.Uint32(a.b))), float64(math.Float32frombits(native.Uint32(a.b[4:])))))
	case reflect.Complex128:
		return setComplex(to, complex(math.Float64frombits(native.Uint64(a.b)), math.Float64frombits(native.Uint64(a.b[8:]))))
	}
	return setInt(to, n)
}
