package values

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"time"
)

var (
	anyType     = reflect.TypeFor[any]()
	errorType   = reflect.TypeFor[error]()
	boolType    = reflect.TypeFor[bool]()
	intType     = reflect.TypeFor[int]()
	int64Type   = reflect.TypeFor[int64]()
	uint64Type  = reflect.TypeFor[uint64]()
	floatType   = reflect.TypeFor[float64]()
	stringType  = reflect.TypeFor[string]()
	bytesType   = reflect.TypeFor[[]byte]()
	listType    = reflect.TypeFor[[]any]()
	objectType  = reflect.TypeFor[map[string]any]()
	bigIntType  = reflect.TypeFor[*big.Int]()
	plainInAny  = map[reflect.Type]bool{boolType: true, intType: true, floatType: true, stringType: true, bytesType: true, listType: true, objectType: true}
	typedInAny  = map[uint64]reflect.Type{}
	remoteError = "error"    // the name in an object with the bytes that Errors.Encode has returned
	namedError  = "sentinel" // the name in an object with the name of a sentinel error
)

func init() {
	for _, t := range []reflect.Type{reflect.TypeFor[[]uint16](), reflect.TypeFor[[]uint32](), reflect.TypeFor[[]uint64](), reflect.TypeFor[[]int8](),
		reflect.TypeFor[[]int16](), reflect.TypeFor[[]int32](), reflect.TypeFor[[]int64](), reflect.TypeFor[[]float32](), reflect.TypeFor[[]float64]()} {
		typedInAny[typedTags[t.Elem().Kind()]] = t
	}
}

// encodeInterface appends the value in an interface: as a plain item, or with
// the name of its type.
func encodeInterface(e *encoder, v reflect.Value) error {
	x := v.Elem()
	t := x.Type()
	if v.Type() == errorType || t.Implements(errorType) && v.Type() != anyType {
		return encodeErrorIn(e, v, x)
	}
	plain := plainInAny[t] || t == timeType // the encoding of a time contains its name already
	if plain {
		switch t.Kind() {
		case reflect.Slice, reflect.Map:
			plain = !x.IsNil()
		}
	}
	if plain {
		return e.held(v, x)
	}
	name, err := e.codec.nameOf(t)
	if err != nil {
		if t.Implements(errorType) {
			return encodeErrorIn(e, v, x)
		}
		return err
	}
	return within(".("+typeText(t)+")", e.object(name, v, x))
}

// object appends x, the value in the interface v, with the name of its type.
func (e *encoder) object(name string, v, x reflect.Value) error {
	e.head(majorTag, tagObject)
	e.head(majorArray, 2)
	e.text(name)
	return e.held(v, x)
}

// encodeErrorIn appends x, the error in the interface v. A sentinel error is
// encoded as its name. Otherwise, encodeErrorIn encodes x as a value with
// the name of its type. If this is not possible, it appends the bytes that
// Errors.Encode returns.
func encodeErrorIn(e *encoder, v, x reflect.Value) error {
	err := x.Interface().(error)
	if name, ok := e.codec.errors.Name(err); ok {
		e.head(majorTag, tagObject)
		e.head(majorArray, 2)
		e.text(namedError)
		e.text(name)
		return nil
	}
	if name, failure := e.codec.nameOf(x.Type()); failure == nil {
		start, used := len(e.b), e.memory.used
		failure := e.object(name, v, x)
		if failure == nil || wholeValue(failure) {
			return failure
		}
		e.b, e.memory.used = e.b[:start], used
		e.parts.remove(start)
	}
	b := e.codec.errors.Encode(err, e.nested)
	e.head(majorTag, tagObject)
	e.head(majorArray, 2)
	e.text(remoteError)
	if err := e.memory.errorBytes(len(b)); err != nil {
		return err
	}
	return e.bytes(majorBytes, b)
}

// wholeValue reports whether the encoding of the whole value must fail with
// err. After any other err, only one error value within the whole value
// cannot be encoded as a value of its type.
func wholeValue(err error) bool {
	var copies *copiesError
	var long longError
	return cyclic(err) || bounded(err) || errors.As(err, &copies) || errors.As(err, &long)
}

// decodeInterface decodes the value in an interface.
func decodeInterface(d *decoder, v reflect.Value) error {
	x, err := d.dynamic()
	if err != nil {
		return err
	}
	if !x.Type().AssignableTo(v.Type()) {
		return fmt.Errorf("a %s cannot be stored in a %s", typeText(x.Type()), typeText(v.Type()))
	}
	v.Set(x)
	return nil
}

// dynamic decodes the next item. The item determines the type of the value.
func (d *decoder) dynamic() (reflect.Value, error) {
	switch first := d.peek(); first >> 5 {
	case majorUint, majorInt:
		return d.integer()
	case majorBytes:
		return d.as(bytesType)
	case majorText:
		return d.as(stringType)
	case majorArray:
		return d.as(listType)
	case majorMap:
		return d.as(objectType)
	case majorTag:
		return d.tagged()
	default:
		if first == itemFalse || first == itemTrue {
			return d.as(boolType)
		}
		return d.as(floatType)
	}
}

// The method as decodes the next item as a value of type t.
func (d *decoder) as(t reflect.Type) (reflect.Value, error) {
	if err := d.memory.pointed(t); err != nil {
		return reflect.Value{}, err
	}
	x := reflect.New(t).Elem()
	return x, d.decode(d.codec.coder(t), x)
}

// integer decodes an integer as an int. Programs in other languages may send an
// integer that does not fit an int. Such an integer becomes an int64 (if int
// has 32 bits) or a uint64.
func (d *decoder) integer() (reflect.Value, error) {
	at := d.at
	first, n, err := d.head()
	if err != nil {
		return reflect.Value{}, err
	}
	d.at = at
	switch {
	case first>>5 == majorUint && n > math.MaxInt64:
		return d.as(uint64Type)
	case n > math.MaxInt:
		return d.as(int64Type)
	}
	return d.as(intType)
}

// tagged decodes an item with a tag.
func (d *decoder) tagged() (reflect.Value, error) {
	at := d.at
	_, tag, err := d.head()
	if err != nil {
		return reflect.Value{}, err
	}
	if t := typedInAny[tag]; t != nil {
		d.at = at
		return d.as(t)
	}
	switch tag {
	case tagTimeText, tagTime:
		d.at = at
		return d.as(timeType)
	case tagObject:
		return d.objectAt(at)
	}
	return reflect.Value{}, fmt.Errorf("unknown CBOR tag %d", tag)
}

// objectAt decodes an object, which is a value with the name of its type.
// The parameter at is the offset of the object's tag.
func (d *decoder) objectAt(at int) (none reflect.Value, _ error) {
	n, err := d.length(majorArray, "a name and a value")
	if err != nil {
		return none, err
	}
	if n < 2 {
		return none, fmt.Errorf("a name and a value expected, not %d values", n)
	}
	name, err := d.name("the name of a type")
	if err != nil {
		return none, err
	}
	if name == timeName {
		d.at = at
		return d.as(timeType)
	}
	if n != 2 {
		return none, fmt.Errorf("a name and a value expected, not %d values", n)
	}
	switch name {
	case remoteError:
		b, err := d.raw(majorBytes, "an error")
		if err == nil {
			err = d.memory.errorBytes(len(b))
		}
		if err != nil {
			return none, err
		}
		return reflect.ValueOf(d.codec.errors.Decode(append([]byte{}, b...))), nil
	case namedError:
		s, err := d.name("the name of an error")
		if err != nil {
			return none, err
		}
		found, ok := d.codec.errors.Named(s)
		if !ok {
			return none, fmt.Errorf("no error is registered under the name %q here", shortened([]byte(s)))
		}
		return reflect.ValueOf(found), nil
	}
	t, err := d.codec.typeOf(name)
	if err != nil {
		return none, err
	}
	outer := d.named
	d.named = true
	x, err := d.as(t)
	d.named = outer
	return x, within(".("+typeText(t)+")", err)
}

// standardTypes are the types of Go and its standard library that interfaces
// may hold without registration.
var standardTypes = []reflect.Type{
	reflect.TypeFor[int8](), reflect.TypeFor[int16](), reflect.TypeFor[int32](), reflect.TypeFor[int64](), reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](), reflect.TypeFor[uintptr](), reflect.TypeFor[float32](), reflect.TypeFor[complex64](), reflect.TypeFor[complex128](),
	boolType, intType, floatType, stringType, anyType, errorType, reflect.TypeFor[struct{}](), timeType, reflect.TypeFor[time.Duration](), reflect.TypeFor[time.Month](), reflect.TypeFor[time.Weekday](),
	bigIntType, reflect.TypeFor[big.Rat](), reflect.TypeFor[big.Float](),
}
