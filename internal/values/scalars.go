package values

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strconv"
)

func encodeBool(e *encoder, v reflect.Value) error {
	if v.Bool() {
		e.b = append(e.b, itemTrue)
	} else {
		e.b = append(e.b, itemFalse)
	}
	return nil
}

func decodeBool(d *decoder, v reflect.Value) error {
	first, _, err := d.head()
	if err != nil {
		return err
	}
	if first != itemFalse && first != itemTrue {
		return fmt.Errorf("a boolean expected, not %s", itemText(first))
	}
	v.SetBool(first == itemTrue)
	return nil
}

func encodeInt(e *encoder, v reflect.Value) error { e.int(v.Int()); return nil }

func decodeInt(d *decoder, v reflect.Value) error {
	first, n, err := d.head()
	if err != nil {
		return err
	}
	i := int64(n)
	switch {
	case first>>5 == majorInt:
		i = ^i
	case first>>5 != majorUint:
		return fmt.Errorf("an integer expected, not %s", itemText(first))
	}
	if n > math.MaxInt64 || v.OverflowInt(i) {
		return fmt.Errorf("%s does not fit %s", integerText(first, n), v.Kind())
	}
	v.SetInt(i)
	return nil
}

func encodeUint(e *encoder, v reflect.Value) error { e.head(majorUint, v.Uint()); return nil }

func decodeUint(d *decoder, v reflect.Value) error {
	first, n, err := d.head()
	if err != nil {
		return err
	}
	switch {
	case first>>5 == majorInt:
		return fmt.Errorf("%s does not fit %s", integerText(first, n), v.Kind())
	case first>>5 != majorUint:
		return fmt.Errorf("an integer expected, not %s", itemText(first))
	case v.OverflowUint(n):
		return fmt.Errorf("%s does not fit %s", integerText(first, n), v.Kind())
	}
	v.SetUint(n)
	return nil
}

// encodeFloat32 appends all bits. A conversion to float64 would change the bits
// of some NaNs.
func encodeFloat32(e *encoder, v reflect.Value) error {
	e.b = binary.BigEndian.AppendUint32(append(e.b, itemFloat32), math.Float32bits(float32Of(v)))
	return nil
}

func encodeFloat64(e *encoder, v reflect.Value) error {
	e.b = binary.BigEndian.AppendUint64(append(e.b, itemFloat64), math.Float64bits(v.Float()))
	return nil
}

// float32Of returns the float32 in v. If v is addressable, it reads the memory
// of v, because v.Float would change the bits of some NaNs.
func float32Of(v reflect.Value) float32 {
	if v.CanAddr() {
		return *(*float32)(v.Addr().UnsafePointer())
	}
	return float32(v.Float())
}

func decodeFloat(d *decoder, v reflect.Value) error {
	first, n, err := d.head()
	if err != nil {
		return err
	}
	var f float64
	switch {
	case first == itemFloat64:
		f = math.Float64frombits(n)
	case first == itemFloat32:
		if v.Kind() == reflect.Float32 {
			*(*float32)(v.Addr().UnsafePointer()) = math.Float32frombits(uint32(n))
			return nil
		}
		f = float64(math.Float32frombits(uint32(n)))
	case first == itemFloat16:
		f = float16(uint16(n))
	case first>>5 == majorUint:
		if f = float64(n); f >= 1<<64 || uint64(f) != n {
			return fmt.Errorf("%s cannot be a %s without rounding", integerText(first, n), v.Kind())
		}
	case first>>5 == majorInt:
		if n == math.MaxUint64 {
			f = -1 << 64
			break
		}
		m := n + 1 // the number is -m
		if f = -float64(m); f <= -1<<64 || uint64(-f) != m {
			return fmt.Errorf("%s cannot be a %s without rounding", integerText(first, n), v.Kind())
		}
	default:
		return fmt.Errorf("a number expected, not %s", itemText(first))
	}
	if v.Kind() == reflect.Float32 && f == f && float64(float32(f)) != f {
		number := fmt.Sprint(f)
		if first>>5 <= majorInt {
			number = integerText(first, n)
		}
		return fmt.Errorf("%s cannot be a float32 without rounding", number)
	}
	v.SetFloat(f)
	return nil
}

// integerText returns the text of an integer. The parameter first is the
// first byte of the integer's item, and n is the number in the item.
func integerText(first byte, n uint64) string {
	switch {
	case first>>5 == majorUint:
		return strconv.FormatUint(n, 10)
	case n == math.MaxUint64:
		return "-18446744073709551616"
	}
	return "-" + strconv.FormatUint(n+1, 10)
}

// float16 converts an IEEE 754 binary16 number. Other languages may send such
// numbers.
func float16(bits uint16) float64 {
	exp, frac := int(bits>>10&31), float64(bits&1023)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(frac, -24)
	case 31:
		if f = math.Inf(1); frac != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(1024+frac, exp-25)
	}
	if bits>>15 == 1 {
		f = math.Copysign(f, -1)
	}
	return f
}

// encodeComplex appends an array of the real and the imaginary part.
func encodeComplex(e *encoder, v reflect.Value) error {
	e.head(majorArray, 2)
	part := func(kind reflect.Type, p reflect.Value) error {
		if kind.Kind() == reflect.Float32 {
			return encodeFloat32(e, p)
		}
		return encodeFloat64(e, p)
	}
	if !v.CanAddr() {
		v = addressable(v)
	}
	kind, re, im := complexParts(v)
	if err := part(kind, re); err != nil {
		return err
	}
	return part(kind, im)
}

func decodeComplex(d *decoder, v reflect.Value) error {
	n, err := d.length(majorArray, "an array of two numbers")
	if err == nil && n != 2 {
		err = fmt.Errorf("a complex number is an array of 2 numbers, not %d", n)
	}
	if err != nil {
		return err
	}
	_, re, im := complexParts(v)
	if err := decodeFloat(d, re); err != nil {
		return err
	}
	return decodeFloat(d, im)
}

// complexParts returns the real and the imaginary part of a complex number, and
// their type. The parts refer to the memory of v.
func complexParts(v reflect.Value) (t reflect.Type, re, im reflect.Value) {
	p := v.Addr().UnsafePointer()
	if v.Kind() == reflect.Complex64 {
		parts := reflect.NewAt(reflect.TypeFor[[2]float32](), p).Elem()
		return reflect.TypeFor[float32](), parts.Index(0), parts.Index(1)
	}
	parts := reflect.NewAt(reflect.TypeFor[[2]float64](), p).Elem()
	return reflect.TypeFor[float64](), parts.Index(0), parts.Index(1)
}

// addressable returns a copy of v that has an address.
func addressable(v reflect.Value) reflect.Value {
	p := reflect.New(v.Type()).Elem()
	p.Set(v)
	return p
}

func encodeString(e *encoder, v reflect.Value) error {
	s := v.String()
	if err := e.fits(len(s)); err != nil {
		return err
	}
	e.text(s)
	return e.memory.str(len(s))
}

func decodeString(d *decoder, v reflect.Value) error {
	s, err := d.str("text")
	if err != nil {
		return err
	}
	v.SetString(s)
	return nil
}
