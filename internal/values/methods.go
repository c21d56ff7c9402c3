package values

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// The interfaces of github.com/fxamacker/cbor, encoding/gob and encoding/json.
// They are declared here so that this package does not import those packages.
type (
	cborMarshaler   interface{ MarshalCBOR() ([]byte, error) }
	cborUnmarshaler interface{ UnmarshalCBOR([]byte) error }
	gobEncoder      interface{ GobEncode() ([]byte, error) }
	gobDecoder      interface{ GobDecode([]byte) error }
	jsonMarshaler   interface{ MarshalJSON() ([]byte, error) }
	jsonUnmarshaler interface{ UnmarshalJSON([]byte) error }
)

// pair describes two methods of a type: marshal encodes a value as bytes, and
// unmarshal decodes these bytes.
type pair struct {
	marshal, unmarshal string       // names of the methods
	out, in            reflect.Type // interfaces: the interface out has the method that marshal names, and the interface in has the method that unmarshal names
	find, findReverse  finder
	binary             bool // whether the pair is used even if an encoding by contents includes all fields
	major              byte // the major type of the item that contains the bytes; 0 if the bytes are an item themselves
	tag                uint64
	call               func(any) ([]byte, error)
	back               func(any, []byte) error
}

// finder finds a method of a type. In each finder, the name of the method is
// a constant. If a program computed such a name, the linker would keep all
// methods of all types.
type finder func(reflect.Type) (reflect.Method, bool)

// pairs are all pairs, the preferred ones first.
var pairs = []*pair{
	{
		marshal: "MarshalCBOR", out: reflect.TypeFor[cborMarshaler](), unmarshal: "UnmarshalCBOR", in: reflect.TypeFor[cborUnmarshaler](), binary: true,
		find:        func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalCBOR") },
		findReverse: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalCBOR") },
		call:        func(v any) ([]byte, error) { return v.(cborMarshaler).MarshalCBOR() },
		back:        func(v any, b []byte) error { return v.(cborUnmarshaler).UnmarshalCBOR(b) },
	},
	{
		marshal: "MarshalBinary", out: reflect.TypeFor[encoding.BinaryMarshaler](), unmarshal: "UnmarshalBinary", in: reflect.TypeFor[encoding.BinaryUnmarshaler](), binary: true, major: majorBytes,
		find:        func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalBinary") },
		findReverse: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalBinary") },
		call:        func(v any) ([]byte, error) { return v.(encoding.BinaryMarshaler).MarshalBinary() },
		back:        func(v any, b []byte) error { return v.(encoding.BinaryUnmarshaler).UnmarshalBinary(b) },
	},
	{
		marshal: "GobEncode", out: reflect.TypeFor[gobEncoder](), unmarshal: "GobDecode", in: reflect.TypeFor[gobDecoder](), binary: true, major: majorBytes,
		find:        func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("GobEncode") },
		findReverse: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("GobDecode") },
		call:        func(v any) ([]byte, error) { return v.(gobEncoder).GobEncode() },
		back:        func(v any, b []byte) error { return v.(gobDecoder).GobDecode(b) },
	},
	{
		marshal: "MarshalText", out: reflect.TypeFor[encoding.TextMarshaler](), unmarshal: "UnmarshalText", in: reflect.TypeFor[encoding.TextUnmarshaler](), major: majorText,
		find:        func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalText") },
		findReverse: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalText") },
		call:        func(v any) ([]byte, error) { return v.(encoding.TextMarshaler).MarshalText() },
		back:        func(v any, b []byte) error { return v.(encoding.TextUnmarshaler).UnmarshalText(b) },
	},
	{
		marshal: "MarshalJSON", out: reflect.TypeFor[jsonMarshaler](), unmarshal: "UnmarshalJSON", in: reflect.TypeFor[jsonUnmarshaler](), major: majorBytes, tag: tagJSON,
		find:        func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("MarshalJSON") },
		findReverse: func(t reflect.Type) (reflect.Method, bool) { return t.MethodByName("UnmarshalJSON") },
		call:        func(v any) ([]byte, error) { return v.(jsonMarshaler).MarshalJSON() },
		back:        func(v any, b []byte) error { return v.(jsonUnmarshaler).UnmarshalJSON(b) },
	},
}

// methods describes the methods that encode and decode a type.
type methods struct {
	*pair
	null    bool // the encoding of a value may be null
	nilable bool // nil is encoded as null, without the methods
	*standardType
	// refused, unless nil, is the reason why no value of the type can be
	// encoded.
	refused error
}

var methodsKnown sync.Map // reflect.Type to *methods, nil for none

// methodsOf returns the methods that encode values of the type, or nil if the
// contents of the values are encoded instead.
func methodsOf(t reflect.Type) *methods {
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer:
		return nil // the element of a pointer and the value in an interface have their own coders
	}
	if t.Name() == "" && t.Kind() != reflect.Struct || isSpecial(t) || byContents[t] {
		return nil // the type has no such methods, or they are not used
	}
	if m, ok := methodsKnown.Load(t); ok {
		return m.(*methods)
	}
	var found *methods
	for _, p := range pairs {
		refused := p.check(t)
		switch {
		case refused == nil && (p.binary || !encodesAll(t)):
			found = newMethods(t, p)
		case refused != nil && refused != errNoPair && p.binary && found == nil:
			found = &methods{pair: p, refused: refused, standardType: noStandardType}
		}
		if found != nil && found.refused == nil {
			break
		}
	}
	methodsKnown.Store(t, found)
	return found
}

func newMethods(t reflect.Type, p *pair) *methods {
	m := &methods{pair: p, null: p.major == 0, standardType: standardTypeOf(t)}
	switch t.Kind() {
	case reflect.Map, reflect.Slice, reflect.Chan, reflect.Func:
		m.nilable = p.major != 0 // except with MarshalCBOR (major 0), which is called for nil too, and can return null itself
		m.null = true
	}
	return m
}

// encodesAll reports whether an encoding by contents includes all fields of t.
func encodesAll(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Struct:
		for f := range t.Fields() {
			_, _, skip := encodedName(f)
			if skip || !f.IsExported() && f.Name != "_" {
				return false
			}
			switch f.Type.Kind() {
			case reflect.Chan, reflect.Func, reflect.UnsafePointer:
				return false
			}
		}
	}
	return true
}

var errNoPair = errors.New("no method")

// check returns nil if the type itself has both methods of the pair. If the
// type does not have the marshal method, check returns errNoPair. If only
// the unmarshal method is missing or wrong, check returns an error that says
// so. Methods of embedded fields do not count.
func (p *pair) check(t reflect.Type) error {
	ptr := reflect.PointerTo(t)
	switch {
	case !ptr.Implements(p.out) || !declares(t, p.find):
		return errNoPair
	case !ptr.Implements(p.in) || !declares(t, p.findReverse):
		return fmt.Errorf("%s has the method %s, but no method that decodes its result: add %s", typeText(t), p.marshal, p.unmarshal)
	case t.Implements(p.in) && t.Kind() != reflect.Map && t.Size() > 0:
		return fmt.Errorf("%s has the method %s with a value receiver, which cannot set the value: declare it for *%s", typeText(t), p.unmarshal, typeText(t))
	}
	return nil
}

// halfPair returns an error if the type has the marshal method of a pair, but
// no usable unmarshal method. The type must have no complete pair.
func halfPair(t reflect.Type) error {
	for _, p := range pairs {
		if err := p.check(t); err != nil && err != errNoPair {
			return err
		}
	}
	return nil
}

// declares reports whether a method of a type is declared for the type
// itself. A struct may have the method only because it embeds another type.
// Such a method would omit the other fields of the struct. The compiler
// generates such a method, so its position is not in a source file.
func declares(t reflect.Type, find finder) bool {
	embeds := false
	for i := 0; t.Kind() == reflect.Struct && i < t.NumField(); i++ {
		embeds = embeds || t.Field(i).Anonymous
	}
	if !embeds {
		return true
	}
	m, ok := find(t)
	if !ok {
		m, _ = find(reflect.PointerTo(t))
	}
	f := runtime.FuncForPC(m.Func.Pointer())
	if f == nil {
		return false
	}
	file, _ := f.FileLine(f.Entry())
	return !strings.HasPrefix(file, "<")
}

func (m *methods) encode(e *encoder, v reflect.Value) error {
	if m.refused != nil {
		return m.refused
	}
	if m.inexact != nil {
		if err := m.inexact(v); err != nil {
			return err
		}
	}
	p := v.Addr().Interface()
	b, handle, err := e.codec.handles.Encode(e.meter.work, p)
	if !handle {
		b, err = m.call(p)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", m.marshal, typeText(v.Type()), err)
	}
	if err := e.memory.method(m, b); err != nil {
		return err
	}
	if m.major == 0 {
		one := &decoder{b: b}
		if _, err := one.skip(); err != nil || one.left() > 0 {
			return fmt.Errorf("%s of %s: the %d bytes that it returned are not one CBOR item of definite length", m.marshal, typeText(v.Type()), len(b))
		}
		if err := e.fits(len(b)); err != nil {
			return err
		}
		e.b = append(e.b, b...)
		return nil
	}
	if m.tag != 0 {
		e.head(majorTag, m.tag)
	}
	return e.bytes(m.major, b)
}

func (m *methods) decode(d *decoder, v reflect.Value) error {
	if m.refused != nil {
		return m.refused
	}
	var b []byte
	var err error
	if m.major == 0 {
		b, err = d.skip()
	} else {
		if m.tag != 0 {
			n, err := d.expect(majorTag, "embedded JSON")
			if err == nil && n != m.tag {
				err = fmt.Errorf("embedded JSON expected, not tag %d", n)
			}
			if err != nil {
				return err
			}
		}
		b, err = d.raw(m.major, "the input of "+m.unmarshal+" of "+typeText(v.Type()))
	}
	if err == nil {
		err = d.memory.method(m, b)
	}
	if err != nil {
		return err
	}
	if v.Kind() == reflect.Map {
		v.Set(reflect.MakeMap(v.Type())) // a method with a value receiver cannot create the map
	}
	own := append([]byte{}, b...) // the method may keep the bytes, so it gets a copy
	p := v.Addr().Interface()
	handle, err := d.codec.handles.Decode(d.meter.work, p, own)
	if !handle {
		err = m.back(p, own)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", m.unmarshal, typeText(v.Type()), err)
	}
	return nil
}
