package python

import (
	"encoding"
	"encoding/json"
	"math/big"
	"reflect"
	"slices"
	"sync"
	"time"

	"concert/executor"
)

// Encode implements executor.Codec.
func (codec) Encode(v any) ([]byte, error) {
	b, err := encodeValue(reflect.ValueOf(v))
	return b, finish(err, "argument")
}

func encodeValue(v reflect.Value) ([]byte, error) { return encodeFrom(v, sharedFrom, maxEncoded) }

// encodeFrom does the same as encodeValue, but its parameters replace the
// constants sharedFrom and maxEncoded.
func encodeFrom(v reflect.Value, shared, most int) ([]byte, error) {
	e := encoder{sharedFrom: shared, most: most}
	return e.encodeAll(v)
}

// encodeAll returns the encoding of v. The encoder must be new.
func (e *encoder) encodeAll(v reflect.Value) ([]byte, error) {
	e.buf = make([]byte, extendedHead, 64)
	encode := e.encode
	if e.views {
		encode = e.encodeSharedValue
	}
	err := encode(v)
	if err == nil {
		err = e.fits(0)
	}
	if err != nil {
		return nil, err
	}
	if !e.forms {
		return e.buf[extendedHead:], nil
	}
	if e.aligns {
		e.buf = append(e.buf, padding[:-len(e.buf)&(alignment-1)]...) // marshal ignores these bytes
	}
	e.buf[0] = extended
	le.PutUint32(e.buf[1:], uint32(len(e.buf)-extendedHead))
	e.buf = slices.Grow(e.buf, e.size)
	for _, a := range e.arrays {
		e.buf = append(e.buf, a...)
	}
	return e.buf, nil
}

// encoder appends values to buf.
type encoder struct {
	buf    []byte
	forms  bool           // buf has forms
	arrays [][]byte       // the bytes of arrays; in the encoding, they follow buf
	size   int            // total size of arrays
	depth  int            // depth of the current value
	seen   map[visit]bool // the values that contain the current value; recorded only at a large depth, where a cycle is likely

	offsets    []int  // positions in buf of the offsets of arrays
	deepest    int    // maximum of the field depth since the innermost reference began
	sharedFrom int    // parts are recorded when the encoding has at least this size; see references.go
	most       int    // maximum size of the encoding, in bytes
	parts      *parts // nil until a part is recorded
	copied     int    // number of bytes that are copies of parts

	views  bool                                       // whether arrays are encoded as views: the current value is the value of a handle; see sharedvalue.go
	aligns bool                                       // the arrays are aligned; see sharedvalue.go
	refer  func(handle any) (executor.SharedID, bool) // the second argument of EncodeReferences, or nil
}

// form begins a form, as described in marshal.go: it appends the head of a
// tuple, an Ellipsis, and the number of the form. The caller must append n
// more items.
func (e *encoder) form(form, n int) {
	e.forms = true
	e.buf = appendForm(e.buf, form, n)
}

// array appends the offset of an array to e.buf, and the bytes of the array to
// e.arrays.
func (e *encoder) array(b []byte) error {
	e.offset()
	return e.store(b)
}

// offset appends an offset: the position of the bytes that the next call of
// store will add.
func (e *encoder) offset() {
	e.align()
	e.offsets = append(e.offsets, len(e.buf)+1)
	e.buf = appendInt(e.buf, int64(e.size))
}

// store adds bytes to arrays.
func (e *encoder) store(b []byte) error {
	if err := e.fits(len(b)); err != nil {
		return err
	}
	e.arrays = append(e.arrays, b)
	e.size += len(b)
	return nil
}

// head begins a bytes object, a list or a tuple that has n items. The
// parameter size is the minimum size of an item.
func (e *encoder) head(kind byte, n, size int) (err error) {
	if e.buf, err = appendHead(e.buf, kind, n); err == nil {
		err = e.fits(product(n, size))
	}
	return err
}

func (e *encoder) text(s string) (err error) {
	if err := e.fits(len(s)); err != nil {
		return err
	}
	e.buf, err = appendString(e.buf, s)
	return err
}

func (e *encoder) encode(v reflect.Value) error {
	if !v.IsValid() {
		e.buf = append(e.buf, 'N')
		return nil
	}
	return encoderOf(v.Type())(e, v)
}

// deeper must be called before the parts of v are encoded, and shallower
// after that. The method deeper returns an error if v is nested too deeply,
// or contains itself.
func (e *encoder) deeper(v reflect.Value) error {
	e.depth++
	e.deepest = max(e.deepest, e.depth)
	if e.depth < deepest-100 {
		return e.fits(0)
	}
	if e.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice:
		at := visitOf(v)
		if e.seen[at] {
			return fail("the value contains itself: send a copy without the cycle")
		}
		if e.seen == nil {
			e.seen = make(map[visit]bool)
		}
		e.seen[at] = true
	}
	return e.fits(0)
}

func (e *encoder) shallower(v reflect.Value) {
	if e.depth--; e.seen != nil {
		switch v.Kind() {
		case reflect.Pointer, reflect.Map, reflect.Slice:
			delete(e.seen, visitOf(v))
		}
	}
}

type encodeFunc func(e *encoder, v reflect.Value) error

var encoders sync.Map // from reflect.Type to encodeFunc

// encoderOf returns the function that encodes values of a type.
func encoderOf(t reflect.Type) encodeFunc {
	if known, ok := encoders.Load(t); ok {
		return known.(encodeFunc)
	}
	f := newEncoder(t)
	encoders.Store(t, f)
	return f
}

// inner is used for a type within another type. It returns a function that
// returns the encoder of t. Types may be recursive, so this function calls
// encoderOf only when the first value is encoded.
func inner(t reflect.Type) func() encodeFunc {
	return sync.OnceValue(func() encodeFunc { return encoderOf(t) })
}

// hooked returns the encoder of a type whose kind does not determine how it is
// encoded. For other types, it returns nil.
func hooked(t reflect.Type) encodeFunc {
	pointer := func(v reflect.Value) any { return addressable(v).Addr().Interface() }
	if _, ok := executor.SharedType(t); ok {
		return encodeHandle
	}
	switch infoByName(t).class {
	case bigClass:
		return func(e *encoder, v reflect.Value) (err error) {
			e.buf, err = appendBig(e.buf, pointer(v).(*big.Int))
			return err
		}
	case timeClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeTime(v.Interface().(time.Time)) }
	case durationClass:
		return func(e *encoder, v reflect.Value) error { e.encodeDuration(time.Duration(v.Int())); return nil }
	case textFormClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeTextForm(textForms[t], v.String()) }
	case arrayClass:
		return func(e *encoder, v reflect.Value) error { return e.encodeArray(v.Interface().(shaped)) }
	}
	switch {
	case t.Kind() == reflect.Pointer, t.Kind() == reflect.Interface:
		return nil
	case t == bigRat:
		return func(e *encoder, v reflect.Value) error {
			r := pointer(v).(*big.Rat)
			return e.encodeTextForm("Fraction", r.Num().Text(16)+"/"+r.Denom().Text(16))
		}
	case t == bigFloat:
		return func(*encoder, reflect.Value) error { return fail("%s", infoByName(t).why) }
	case implements(t, textMarshaler, "MarshalText"):
		return func(e *encoder, v reflect.Value) error { return e.encodeMarshaled(pointer(v).(encoding.TextMarshaler)) }
	case implements(t, jsonMarshaler, "MarshalJSON"):
		return func(e *encoder, v reflect.Value) error { return e.encodeJSON(pointer(v).(json.Marshaler)) }
	}
	return nil
}

// addressable returns v if v has an address, and otherwise a copy of v that
// has an address.
func addressable(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return v
	}
	c := reflect.New(v.Type()).Elem()
	c.Set(v)
	return c
}

func newEncoder(t reflect.Type) encodeFunc {
	if f := hooked(t); f != nil {
		return f
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(e *encoder, v reflect.Value) error {
			e.buf = append(e.buf, letter(v.Bool()))
			return nil
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendInt(e.buf, v.Int())
			return nil
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendUint(e.buf, v.Uint())
			return nil
		}
	case reflect.Float32, reflect.Float64:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendFloat(e.buf, v.Float())
			return nil
		}
	case reflect.Complex64, reflect.Complex128:
		return func(e *encoder, v reflect.Value) error {
			e.buf = appendComplex(e.buf, v.Complex())
			return nil
		}
	case reflect.String:
		return func(e *encoder, v reflect.Value) error { return e.text(v.String()) }
	case reflect.Pointer:
		return pointerEncoder(t)
	case reflect.Interface:
		return (*encoder).held
	case reflect.Slice, reflect.Array:
		return listEncoder(t)
	case reflect.Map:
		return mapEncoder(t)
	case reflect.Struct:
		return structEncoder(t)
	}
	return func(*encoder, reflect.Value) error {
		return fail("a Go %s cannot be sent: Python has no value for it; send plain data, or give the type a method MarshalText or MarshalJSON", t)
	}
}

func letter(b bool) byte {
	if b {
		return 'T'
	}
	return 'F'
}

func pointerEncoder(t reflect.Type) encodeFunc {
	elem := inner(t.Elem())
	_, handle := executor.SharedType(t.Elem())
	pointed := func(e *encoder, v reflect.Value) error {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		start := len(e.buf)
		if err := elem()(e, v.Elem()); err != nil {
			return err
		}
		if string(e.buf[start:]) == "N" && !handle {
			return fail("a pointer to a nil %s would become None, like a nil pointer: send a nil pointer, or a pointer to an empty %s", t.Elem(), t.Elem())
		}
		return nil
	}
	return referenced(pointed)
}

// referenced returns the encoder of a pointer, a map or a slice. If the
// value is not nil, this encoder calls the function contents to encode it.
func referenced(contents encodeFunc) encodeFunc {
	return func(e *encoder, v reflect.Value) error {
		switch {
		case v.IsNil():
			e.buf = append(e.buf, 'N')
			return nil
		case v.Kind() == reflect.Slice && v.Len() == 0:
			return contents(e, v)
		}
		return e.reference(visitOf(v), v, contents)
	}
}
