package python

import (
	"encoding"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// Plain data travels in the format of Python's marshal module, version 2, which CPython
// reads and writes in C. That version has been the same since Python 2.5, has no
// references, so nothing is read twice or in circles, and holds just what plain data
// is made of. (The module's documentation does not promise the format to other
// programs; a worker whose marshal writes a sample otherwise refuses to start.)
//
//	N                    None
//	T, F                 True, False
//	i int32              int
//	l count digits       int: |count| digits of 15 bits, count negative for a negative one
//	g float64            float
//	y float64 float64    complex
//	s length bytes       bytes
//	u length bytes       str, as UTF-8
//	[ ( count items      list, tuple
//	< > count items      set, frozenset
//	{ key value ... 0    dict
//
// All numbers are little endian, lengths and counts int32.

// deepest is how deep values may be nested; marshal itself stops at 2,000.
const deepest = 1000

var le = binary.LittleEndian

// encoder appends values.
type encoder struct {
	buf  []byte
	path []string // where in the value it is, for errors
}

// Encode implements concert.Codec.
func (codec) Encode(v any) ([]byte, error) {
	var e encoder
	if err := e.encode(reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return e.buf, nil
}

func (e *encoder) fail(format string, args ...any) error {
	where := ""
	if len(e.path) > 0 {
		where = strings.Join(e.path, "") + ": "
	}
	return fmt.Errorf("python: "+where+format, args...)
}

// in encodes what is at a place within the value.
func (e *encoder) in(place string, v reflect.Value) error {
	e.path = append(e.path, place)
	defer func() { e.path = e.path[:len(e.path)-1] }()
	return e.encode(v)
}

func (e *encoder) encode(v reflect.Value) error {
	if len(e.path) > deepest {
		return fmt.Errorf("python: %s...: nested deeper than %d, or contains itself", strings.Join(e.path[:3], ""), deepest)
	}
	if !v.IsValid() {
		e.buf = append(e.buf, 'N')
		return nil
	}
	if done, err := e.encodeKnown(v); done || err != nil {
		return err
	}
	switch v.Kind() {
	case reflect.Bool:
		e.buf = append(e.buf, map[bool]byte{true: 'T', false: 'F'}[v.Bool()])
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.encodeInt(v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		e.encodeUint(v.Uint())
	case reflect.Float32, reflect.Float64:
		e.buf = le.AppendUint64(append(e.buf, 'g'), math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		c := v.Complex()
		e.buf = le.AppendUint64(append(e.buf, 'y'), math.Float64bits(real(c)))
		e.buf = le.AppendUint64(e.buf, math.Float64bits(imag(c)))
	case reflect.String:
		return e.encodeString(v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		return e.in("", v.Elem())
	case reflect.Slice:
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		return e.encodeList(v)
	case reflect.Array:
		return e.encodeList(v)
	case reflect.Map:
		return e.encodeMap(v)
	case reflect.Struct:
		return e.encodeStruct(v)
	default:
		return e.fail("a Go %s cannot be sent", v.Type())
	}
	return nil
}

var (
	bigInt        = reflect.TypeFor[big.Int]()
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

// encodeKnown encodes types that know how, or that are known here.
func (e *encoder) encodeKnown(v reflect.Value) (done bool, err error) {
	t := v.Type()
	switch {
	case t == bigInt:
		n := v.Interface().(big.Int)
		return true, e.encodeBig(&n)
	case v.Kind() == reflect.Pointer && v.IsNil(), v.Kind() == reflect.Interface:
		return false, nil
	case t.Kind() == reflect.Pointer && t.Elem() == bigInt:
		return true, e.encodeBig(v.Interface().(*big.Int))
	case t.Implements(textMarshaler):
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return true, e.fail("%w", err)
		}
		return true, e.encodeString(string(text))
	case t.Implements(jsonMarshaler):
		text, err := v.Interface().(json.Marshaler).MarshalJSON()
		if err != nil {
			return true, e.fail("%w", err)
		}
		plain, err := fromJSON(text)
		if err != nil {
			return true, e.fail("%w", err)
		}
		return true, e.encode(reflect.ValueOf(plain))
	}
	return false, nil
}

// fromJSON is what JSON says, with integers as such.
func fromJSON(text []byte) (any, error) {
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return numbers(v), nil
}

// numbers turns each json.Number into a number.
func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	}
	return v
}

func (e *encoder) length(n int) error {
	if n > math.MaxInt32 {
		return e.fail("%d elements or bytes are more than Python's marshal can hold", n)
	}
	e.buf = le.AppendUint32(e.buf, uint32(n))
	return nil
}

func (e *encoder) encodeInt(n int64) {
	if int64(int32(n)) == n {
		e.buf = le.AppendUint32(append(e.buf, 'i'), uint32(n))
		return
	}
	magnitude := uint64(n)
	if n < 0 {
		magnitude = -magnitude
	}
	e.encodeDigits(magnitude, n < 0)
}

func (e *encoder) encodeUint(n uint64) {
	if n <= math.MaxInt32 {
		e.encodeInt(int64(n))
		return
	}
	e.encodeDigits(n, false)
}

func (e *encoder) encodeDigits(magnitude uint64, negative bool) {
	start := len(e.buf)
	e.buf = append(e.buf, 'l', 0, 0, 0, 0)
	count := int32(0)
	for ; magnitude > 0; magnitude >>= 15 {
		e.buf = le.AppendUint16(e.buf, uint16(magnitude&0x7fff))
		count++
	}
	if negative {
		count = -count
	}
	le.PutUint32(e.buf[start+1:], uint32(count))
}

func (e *encoder) encodeBig(n *big.Int) error {
	if n.IsInt64() {
		e.encodeInt(n.Int64())
		return nil
	}
	count := (n.BitLen() + 14) / 15
	if count > math.MaxInt32 {
		return e.fail("an integer of %d bits is too large", n.BitLen())
	}
	signed := int32(count)
	if n.Sign() < 0 {
		signed = -signed
	}
	e.buf = le.AppendUint32(append(e.buf, 'l'), uint32(signed))
	// Digits of 15 bits out of bytes, the least first.
	bytes := new(big.Int).Abs(n).Bytes()
	slices.Reverse(bytes)
	bits, have := uint32(0), 0
	for _, b := range bytes {
		bits |= uint32(b) << have
		if have += 8; have >= 15 {
			e.buf = le.AppendUint16(e.buf, uint16(bits&0x7fff))
			bits, have, count = bits>>15, have-15, count-1
		}
	}
	if count > 0 {
		e.buf = le.AppendUint16(e.buf, uint16(bits&0x7fff))
	}
	return nil
}

func (e *encoder) encodeString(s string) error {
	if !utf8.ValidString(s) {
		return e.fail("text that is not UTF-8 cannot be a Python str: send it as []byte")
	}
	e.buf = append(e.buf, 'u')
	if err := e.length(len(s)); err != nil {
		return err
	}
	e.buf = append(e.buf, s...)
	return nil
}

func (e *encoder) encodeList(v reflect.Value) error {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		e.buf = append(e.buf, 's')
		if err := e.length(v.Len()); err != nil {
			return err
		}
		if v.Kind() == reflect.Array && !v.CanAddr() {
			addressable := reflect.New(v.Type()).Elem()
			addressable.Set(v)
			v = addressable
		}
		e.buf = append(e.buf, v.Bytes()...)
		return nil
	}
	e.buf = append(e.buf, '[')
	if err := e.length(v.Len()); err != nil {
		return err
	}
	for i := range v.Len() {
		if err := e.in("[]", v.Index(i)); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) encodeMap(v reflect.Value) error {
	if v.IsNil() {
		e.buf = append(e.buf, 'N')
		return nil
	}
	e.buf = append(e.buf, '{')
	for entries := v.MapRange(); entries.Next(); {
		if err := e.in("key of a map", entries.Key()); err != nil {
			return err
		}
		if err := e.in("[]", entries.Value()); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '0')
	return nil
}

func (e *encoder) encodeStruct(v reflect.Value) error {
	e.buf = append(e.buf, '{')
	for _, f := range fieldsOf(v.Type()).list {
		value, err := v.FieldByIndexErr(f.index)
		if err != nil || f.omitEmpty && value.IsZero() {
			continue // of an embedded struct that is not there
		}
		if err := e.encodeString(f.name); err != nil {
			return err
		}
		if err := e.in("."+f.name, value); err != nil {
			return err
		}
	}
	e.buf = append(e.buf, '0')
	return nil
}
