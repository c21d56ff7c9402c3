package python

import "reflect"

// unsendable stands for all lengths that exceed the maximum of an encoding.
const unsendable = maxEncoded + 1

// smallest returns the minimum length of the encoding of a value of type t, at
// most unsendable. With this length, the encoder refuses a list that is too
// long, without encoding the elements. Such a list can be small in Go: an array
// of a million empty arrays uses no memory. known contains the results for
// other types.
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
		elem := 1 // numbers in an array have no headers
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

// direct reports whether a field is stored in a struct of type t itself, and
// not behind an embedded pointer.
func direct(t reflect.Type, index []int) bool {
	for _, i := range index {
		if t.Kind() != reflect.Struct {
			return false
		}
		t = t.Field(i).Type
	}
	return true
}

// product returns n times size, at most unsendable. size is positive.
func product(n, size int) int {
	if n > unsendable/size {
		return unsendable
	}
	return n * size
}
