package values

import (
	"math"
	"math/bits"
	"reflect"
)

// This file computes the minimum length of the encodings of the values of a
// type. An array of many arrays can need no memory, although its encoding is
// too long. With the minimum length, the encoder refuses such an array before
// it encodes the elements.

// least returns the minimum length of the encoding of a value of type t, but
// not more than math.MaxInt. known has the types that were computed before.
func least(t reflect.Type, known map[reflect.Type]int) int {
	if n, ok := known[t]; ok {
		return n
	}
	n := leastOf(t, known)
	known[t] = n
	return n
}

func leastOf(t reflect.Type, known map[reflect.Type]int) int {
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
		return leastPlus(1, leastTimes(t.Len(), leastElement(t.Elem(), known)))
	case reflect.Struct:
		fs, err := fieldsOf(t)
		if err != nil {
			return 1
		}
		n := 1
		for _, f := range fs.encoded {
			n = leastPlus(n, 1+len(f.name))
			n = leastPlus(n, least(t.Field(f.index).Type, known))
		}
		return n
	}
	return 1
}

// leastElement is least for an element of an array or a slice. The bytes of
// numbers may be encoded without a head for each number.
func leastElement(t reflect.Type, known map[reflect.Type]int) int {
	if methodsOf(t) == nil && typedTags[t.Kind()] != 0 {
		return 1
	}
	return least(t, known)
}

// leastPlus adds two numbers that are not negative. It returns at most
// math.MaxInt.
func leastPlus(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

// leastTimes is leastPlus for the product of two numbers.
func leastTimes(a, b int) int {
	if over, n := bits.Mul64(uint64(a), uint64(b)); over == 0 && n <= math.MaxInt {
		return int(n)
	}
	return math.MaxInt
}
