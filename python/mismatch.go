package python

import (
	"fmt"
	"math/big"
	"reflect"
	"strings"
)

// arrived is the kind of a Python value, for errors.
type arrived string

const (
	aNone      arrived = "None"
	aBool      arrived = "bool"
	anInt      arrived = "int"
	aFloat     arrived = "float"
	aComplex   arrived = "complex"
	aStr       arrived = "str"
	aBytes     arrived = "bytes"
	aList      arrived = "list" // or a tuple, a set, a frozenset
	aDict      arrived = "dict"
	anArray    arrived = "array"
	aDatetime  arrived = "datetime"
	aTimedelta arrived = "timedelta"
	aText      arrived = "text" // a date, a Decimal and so on, see textForms
)

// goTypes has Go types that can hold all or nearly all values of a kind.
var goTypes = map[arrived]string{
	aBool: "a bool", anInt: "an int64 or a big.Int", aFloat: "a float64", aComplex: "a complex128", aStr: "a string", aBytes: "a []byte",
	aList: "a slice", aDict: "a map or a struct", aDatetime: "a time.Time", aTimedelta: "a time.Duration", aText: "a string",
}

// mismatchError is the error of a Python value that a Go type cannot hold.
type mismatchError struct {
	kind  arrived
	what  string // a description of the value
	text  string // for a str: its text, quoted
	to    reflect.Type
	array *buffer // the array that contains the value, or nil
}

// mismatch returns a valueError that contains a mismatchError. The callers
// add the path to the valueError.
func mismatch(kind arrived, what string, to reflect.Value) error {
	return &valueError{err: &mismatchError{kind: kind, what: what, to: to.Type()}}
}

// Error describes the Python value and the values that the Go type can hold,
// and says what to change in the program.
func (e *mismatchError) Error() string {
	if e.to.Kind() == reflect.Interface && e.to.NumMethod() == 0 {
		return fmt.Sprintf("%s does not fit into a Go any, because the Go type for it cannot hold this value: %s", e.what, e.remedy())
	}
	return fmt.Sprintf("%s does not fit into a Go %s, which is for %s: %s", e.what, e.to, holds(e.to), e.remedy())
}

// holds returns a text with the Python values that fit into a Go type.
func holds(t reflect.Type) string {
	switch infoOf(t).class {
	case bigClass:
		return "an int"
	case timeClass:
		return "a datetime, a date, or a str in RFC 3339"
	case durationClass:
		return "a timedelta of less than 292 years"
	case textFormClass:
		return "a " + strings.Replace(textForms[t], "time", "datetime.time", 1)
	case arrayClass:
		return "an array of dtype " + dtypeOf(t.Field(1).Type.Elem().Kind()).numpy()
	case textClass:
		if t == bigRat {
			return "a Fraction or a str"
		}
		return "a str that UnmarshalText accepts"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a bool"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if t.Bits() == 64 {
			return "an int from -2**63 to 2**63-1"
		}
		return fmt.Sprintf("an int from -%d to %d", 1<<(t.Bits()-1), 1<<(t.Bits()-1)-1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		if t.Bits() == 64 {
			return "an int from 0 to 2**64-1"
		}
		return fmt.Sprintf("an int from 0 to %d", uint64(1)<<t.Bits()-1)
	case reflect.Float32:
		return "a float or an int that 32 bits hold exactly"
	case reflect.Float64:
		return "a float, or an int that a float holds exactly"
	case reflect.Complex64:
		return "a complex that 64 bits hold exactly"
	case reflect.Complex128:
		return "a complex"
	case reflect.String:
		return "a str"
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "bytes, or a list, tuple, set or array"
		}
		return "a list, tuple, set or array"
	case reflect.Array:
		return fmt.Sprintf("a list, tuple or array of %d", t.Len())
	case reflect.Map:
		return "a dict"
	case reflect.Struct:
		if t == reflect.TypeFor[None]() {
			return "None"
		}
		return fmt.Sprintf("a dict, or a tuple of its %d fields", len(fieldsOf(t).list))
	}
	return "no Python value"
}

// remedy returns the part of the error that says what to change.
func (e *mismatchError) remedy() string {
	kind, t := e.kind, e.to
	class, whole := infoOf(t).class, t.Kind() >= reflect.Int && t.Kind() <= reflect.Uintptr
	if d := dtypeOf(t.Kind()); e.array != nil && class == byKind && d != nil && e.array.tick == 0 && !e.array.bytes {
		if kind == anInt && whole {
			return fmt.Sprintf("it is an item of %s, so use %s in place of %s", e.array.what(), e.array.kind, t)
		}
		return fmt.Sprintf("it is an item of %s; convert the array in Python, as by numpy.asarray(a).astype(%q), or use %s in place of %s",
			e.array.what(), d.numpy(), e.array.kind, t)
	}
	it := "it"
	if e.text != "" {
		it = e.text
	}
	switch {
	case kind == aNone:
		return "if None may arrive, use a pointer, *" + t.String()
	case t.Kind() == reflect.Interface && t.NumMethod() == 0 && kind == aDatetime:
		return "return None in Python, or use a *time.Time"
	case t.Kind() == reflect.Interface && t.NumMethod() == 0 && kind == aTimedelta:
		return "return its number of seconds, as by d.total_seconds()"
	case t.Kind() == reflect.Interface:
		return "use any, or a type that is not an interface"
	case class == durationClass && kind == anInt:
		return "convert it in Python, as by datetime.timedelta(seconds=x), or use an int64"
	case class == durationClass:
		return "convert " + it + " in Python, or use another type"
	case class == arrayClass && kind == anArray:
		return fmt.Sprintf("convert it in Python, as by numpy.asarray(a).astype(%q), or use another Array", dtypeOf(t.Field(1).Type.Elem().Kind()).numpy())
	case kind == anInt && (whole || class == bigClass):
		return "use a type with a larger range, up to big.Int"
	case kind == anInt && (t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64):
		return "convert " + it + " in Python, as by float(x), or use a big.Int"
	case kind == aFloat && whole:
		return "convert " + it + " in Python, as by int(x) or round(x), or use a float64"
	case kind == aStr && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return "convert " + it + " in Python, as by s.encode(), or use a string"
	case kind == aBytes && t.Kind() == reflect.String:
		return "convert " + it + " in Python, as by b.decode(), or use a []byte"
	case kind == anArray && t.Kind() != reflect.Array:
		return "use a slice for each dimension, or a python.Array"
	}
	if use := goTypes[kind]; use != "" {
		return "convert " + it + " in Python, or use " + use
	}
	return "use a slice"
}

// describeInt returns the text of an int, for errors.
func describeInt(n *big.Int) string {
	if n.BitLen() > 256 {
		return fmt.Sprintf("an int of %d bits", n.BitLen())
	}
	return "the int " + n.String()
}

// numpy returns numpy's name of the type.
func (d *dtype) numpy() string { return d.kind.String() }
