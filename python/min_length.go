package python

import "reflect"

// unsendable stands for all lengths that exceed the maximum of an encoding.
const unsendable = maxEncoded + 1

// smallest returns the minimum length of the encoding of a value of type t,
// but at most unsendable. From this length, the encoder knows that a list is
// too long before it encodes the elements. Such a list can be small in Go:
// an array of a million empty arrays uses no memory. The map known contains
// the results for other types.
func smallest(t reflect.Type, known map[reflect.Type]int) int {
	n, ok := known[t]
	if !ok {
		n = smallestOf(t, known)
		known[t] = n
	}
	return n
}

func smallestOf(t reflect.Type, known map[reflect.Type]int) int {
	if hooked(t) != nil {
		return 1
	}
	switch t.Kind() {
	case reflect.Int, reflect.Uint:
		return 5
	case reflect.Complex64, reflect.Complex128:
		return 17
	case reflect.Array:
		elem := 1 // the numbers in an array have no headers
		if d := dtypeOf(t.Elem().Kind()); d == nil || d.typecode == "" && d.kind != reflect.Uint8 {
			elem = smallest(t.Elem(), known)
		}
		return min(unsendable, 2+product(t.Len(), elem))
	case reflect.Struct:
		n := 2
		for _, f := range fieldsOf(t).list {
			if !f.omitEmpty && !f.omitZero && direct(t, f.index) {
				n = min(unsendable, n+1+smallest(f.t, known))
			}
		}
		return n
	}
	return 1
}

// direct reports whether a struct of type t itself contains the field. The
// result is false if the path leads through an embedded pointer.
func direct(t reflect.Type, index []int) bool {
	for _, i := range index {
		if t.Kind() != reflect.Struct {
			return false
		}
		t = t.Field(i).Type
	}
	return true
}

// product returns n times size, but at most unsendable. The parameter size
// must be positive.
func product(n, size int) int {
	if n > unsendable/size {
		return unsendable
	}
	return n * size
}
