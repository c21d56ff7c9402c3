package values

import (
	"math"
	"math/bits"
	"reflect"
)

// This file computes the minimum length of the encodings of the values of a
// type. A value of a type such as [1<<40]struct{} needs no memory, but its
// encoding would be too long. From the minimum length, the encoder knows
// this before it encodes the elements, and refuses the value.

// minLength returns the minimum length of the encoding of a value of type t,
// but at most math.MaxInt. The parameter known has the minimum lengths that
// were computed before.
func minLength(t reflect.Type, known map[reflect.Type]int) int {
	if n, ok := known[t]; ok {
		return n
	}
	n := computeMinLength(t, known)
	known[t] = n
	return n
}

func computeMinLength(t reflect.Type, known map[reflect.Type]int) int {
	if isSpecial(t) || methodsOf(t) != nil {
		return 1
	}
	switch t.Kind() {
	case reflect.Float32:
		return 5
	case reflect.Float64:
		return 9
	case reflect.Complex64:
		return 11
	case reflect.Complex128:
		return 19
	case reflect.Array:
		return cappedSum(1, cappedProduct(t.Len(), minElementLength(t.Elem(), known)))
	case reflect.Struct:
		fs, err := fieldsOf(t)
		if err != nil {
			return 1
		}
		n := 1
		for _, f := range fs.encoded {
			n = cappedSum(n, 1+len(f.name))
			n = cappedSum(n, minLength(t.Field(f.index).Type, known))
		}
		return n
	}
	return 1
}

// minElementLength does the same as minLength for an element of an array or a
// slice. For numbers, it returns 1, because a typed array has no head for each
// number.
func minElementLength(t reflect.Type, known map[reflect.Type]int) int {
	if methodsOf(t) == nil && typedTags[t.Kind()] != 0 {
		return 1
	}
	return minLength(t, known)
}

// cappedSum adds two numbers that are not negative. It returns at most
// math.MaxInt.
func cappedSum(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

// cappedProduct does the same as cappedSum for the product of two numbers.
func cappedProduct(a, b int) int {
	if over, n := bits.Mul64(uint64(a), uint64(b)); over == 0 && n <= math.MaxInt {
		return int(n)
	}
	return math.MaxInt
}
