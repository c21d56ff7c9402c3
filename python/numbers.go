package python

import (
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
)

// integer reads an int.
func (d *decoder) integer(kind byte) (*big.Int, error) {
	word, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if kind == 'i' {
		return big.NewInt(int64(int32(word))), nil
	}
	count := int64(int32(word))
	digits, err := d.take(int(2 * max(count, -count)))
	if err != nil {
		return nil, err
	}
	// Convert digits of 15 bits, the least significant one first, to bytes.
	bytes := make([]byte, 0, len(digits))
	bits, have := uint32(0), 0
	for ; len(digits) > 0; digits = digits[2:] {
		digit := uint32(le.Uint16(digits))
		if digit > 0x7fff {
			return nil, d.bad("a digit of %d", digit)
		}
		bits |= digit << have
		for have += 15; have >= 8; have -= 8 {
			bytes = append(bytes, byte(bits))
			bits >>= 8
		}
	}
	bytes = append(bytes, byte(bits))
	slices.Reverse(bytes)
	n := new(big.Int).SetBytes(bytes)
	if count < 0 {
		n.Neg(n)
	}
	return n, nil
}

func (d *decoder) decodeInt(kind byte, to reflect.Value) error {
	if kind == 'i' {
		word, err := d.uint32()
		if err != nil {
			return err
		}
		return setInt(to, int64(int32(word)))
	}
	n, err := d.integer(kind)
	if err != nil {
		return err
	}
	switch {
	case n.IsInt64():
		return setInt(to, n.Int64())
	case n.IsUint64():
		return setUint(to, n.Uint64())
	}
	return setBig(to, n)
}

// target follows the pointers in a Go variable, and allocates a variable for
// each nil pointer. It returns the variable to which the last pointer
// points. If this variable has type any, target stores the parameter natural
// in the variable, and returns true. The caller then has nothing else to do.
func target(to reflect.Value, natural any) (reflect.Value, bool) {
	for to.Kind() == reflect.Pointer {
		if to.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
		}
		to = to.Elem()
	}
	if to.Kind() == reflect.Interface && to.NumMethod() == 0 {
		to.Set(reflect.ValueOf(natural))
		return to, true
	}
	return to, false
}

func setBool(to reflect.Value, b bool) error {
	to, done := target(to, b)
	if done {
		return nil
	}
	if to.Kind() != reflect.Bool || infoOf(to.Type()).class == durationClass {
		return mismatch(aBool, "a bool", to)
	}
	to.SetBool(b)
	return nil
}

func setInt(to reflect.Value, n int64) error {
	to, done := target(to, n)
	if done {
		return nil
	}
	switch {
	case infoOf(to.Type()).class == durationClass:
		return mismatch(anInt, fmt.Sprint("the int ", n), to)
	case to.CanInt():
		if !to.OverflowInt(n) {
			to.SetInt(n)
			return nil
		}
	case to.CanUint():
		if n >= 0 && !to.OverflowUint(uint64(n)) {
			to.SetUint(uint64(n))
			return nil
		}
	default:
		return setBig(to, big.NewInt(n))
	}
	return mismatch(anInt, fmt.Sprint("the int ", n), to)
}

func setUint(to reflect.Value, n uint64) error {
	if n <= math.MaxInt64 {
		return setInt(to, int64(n))
	}
	if to.CanUint() && !to.OverflowUint(n) {
		to.SetUint(n)
		return nil
	}
	return setBig(to, new(big.Int).SetUint64(n))
}

func setBig(to reflect.Value, n *big.Int) error {
	to, done := target(to, n)
	if done {
		return nil
	}
	switch {
	case to.CanUint():
		if n.IsUint64() && !to.OverflowUint(n.Uint64()) {
			to.SetUint(n.Uint64())
			return nil
		}
	case to.CanFloat():
		f, exact := new(big.Float).SetInt(n).Float64()
		if exact == big.Exact && (to.Kind() == reflect.Float64 || float64(float32(f)) == f) {
			to.SetFloat(f)
			return nil
		}
	case to.Type() == bigInt:
		to.Addr().Interface().(*big.Int).Set(n)
		return nil
	}
	return mismatch(anInt, describeInt(n), to)
}

func setFloat(to reflect.Value, f float64) error {
	to, done := target(to, f)
	if done {
		return nil
	}
	if !to.CanFloat() || to.Kind() == reflect.Float32 && !narrow(f) {
		return mismatch(aFloat, fmt.Sprint("the float ", f), to)
	}
	to.SetFloat(f)
	return nil
}

// narrow reports whether a float32 can hold f exactly.
func narrow(f float64) bool { return f != f || float64(float32(f)) == f }

func setComplex(to reflect.Value, c complex128) error {
	to, done := target(to, c)
	if done {
		return nil
	}
	if !to.CanComplex() || to.Kind() == reflect.Complex64 && !(narrow(real(c)) && narrow(imag(c))) {
		return mismatch(aComplex, fmt.Sprint("the complex ", c), to)
	}
	to.SetComplex(c)
	return nil
}
