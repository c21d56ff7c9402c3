package executor

import (
	"fmt"
	"reflect"
)

// maxPanicParts bounds how many parts of the value of a panic are printed.
const maxPanicParts = 10_000

// panicText returns the text of the argument of a panic, like fmt.Sprint.
// For a value that contains itself, fmt would end the program by an overflow of
// the stack, which cannot be recovered. For such a value, and for one that is
// very large, panicText returns the type.
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
// prints. It stops when *left is negative. outermost says that v is the
// argument of Sprint itself: only in this case does fmt follow a pointer.
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
