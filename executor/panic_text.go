package executor

import (
	"fmt"
	"reflect"
)

// maxPanicParts is the maximum number of parts that a printed value of a
// panic has.
const maxPanicParts = 10_000

// panicText returns the text of the argument of a panic, like fmt.Sprint. If a
// value contains itself, fmt.Sprint would overflow the stack, and this ends the
// program. For such a value, and for a very large value, panicText returns only
// the type.
func panicText(v any) string {
	switch v.(type) {
	case error, fmt.Stringer, fmt.Formatter:
		return fmt.Sprint(v)
	}
	left := maxPanicParts
	if countParts(reflect.ValueOf(v), true, &left); left < 0 {
		return fmt.Sprintf("a value of type %T, which contains itself or is large", v)
	}
	return fmt.Sprint(v)
}

// countParts decreases *left by the number of parts of v that fmt.Sprint
// prints. It stops when *left is negative. outermost is true if v is the
// argument of Sprint itself: fmt follows a pointer only there.
func countParts(v reflect.Value, outermost bool, left *int) {
	if *left--; *left < 0 {
		return
	}
	switch v.Kind() {
	case reflect.Interface:
		countParts(v.Elem(), false, left)
	case reflect.Pointer:
		if outermost {
			countParts(v.Elem(), false, left)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			countParts(v.Field(i), false, left)
		}
	case reflect.Slice, reflect.Array:
		for i := 0; i < v.Len() && *left >= 0; i++ {
			countParts(v.Index(i), false, left)
		}
	case reflect.Map:
		for iter := v.MapRange(); *left >= 0 && iter.Next(); {
			countParts(iter.Key(), false, left)
			countParts(iter.Value(), false, left)
		}
	}
}
