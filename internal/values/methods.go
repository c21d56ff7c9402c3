package values

import (
	"encoding"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
)

// The interfaces of github.com/fxamacker/cbor, encoding/gob and encoding/json.
// They are declared here so that this package need not import those.
type (
	cborMarshaler   interface{ MarshalCBOR() ([]byte, error) }
	cborUnmarshaler interface{ UnmarshalCBOR([]byte) error }
	gobEncoder      interface{ GobEncode() ([]byte, error) }
	gobDecoder      interface{ GobDecode([]byte) error }
	jsonMarshaler   interface{ MarshalJSON() ([]byte, error) }
	jsonUnmarshaler interface{ UnmarshalJSON([]byte) error }
)

// pair is a method that encodes a value as bytes and the reverse method.
type pair struct {
	marshal, unmarshal string // names of the methods
	out, in            reflect.Type
	binary             bool // used even if all contents can be encoded
	major              byte // major type of the item with the bytes; 0 if they are an item
	tag                uint64
	call               func(any) ([]byte, error)
	back               func(any, []byte) error
}

// pairs are all pairs, the preferred ones first.
var pairs = []*pair{
	{
		marshal: "MarshalCBOR", out: reflect.TypeFor[cborMarshaler](), unmarshal: "UnmarshalCBOR", in: reflect.TypeFor[cborUnmarshaler](), binary: true,
		call: func(v any) ([]byte, error) { return v.(cborMarshaler).MarshalCBOR() },
		back: func(v any, b []byte) error { return v.(cborUnmarshaler).UnmarshalCBOR(b) },
	},
	{
		marshal: "MarshalBinary", out: reflect.TypeFor[encoding.BinaryMarshaler](), unmarshal: "UnmarshalBinary", in: reflect.TypeFor[encoding.BinaryUnmarshaler](), binary: true, major: majorBytes,
		call: func(v any) ([]byte, error) { return v.(encoding.BinaryMarshaler).MarshalBinary() },
		back: func(v any, b []byte) error { return v.(encoding.BinaryUnmarshaler).UnmarshalBinary(b) },
	},
	{
		marshal: "GobEncode", out: reflect.TypeFor[gobEncoder](), unmarshal: "GobDecode", in: reflect.TypeFor[gobDecoder](), binary: true, major: majorBytes,
		call: func(v any) ([]byte, error) { return v.(gobEncoder).GobEncode() },
		back: func(v any, b []byte) error { return v.(gobDecoder).GobDecode(b) },
	},
	{
		marshal: "MarshalText", out: reflect.TypeFor[encoding.TextMarshaler](), unmarshal: "UnmarshalText", in: reflect.TypeFor[encoding.TextUnmarshaler](), major: majorText,
		call: func(v any) ([]byte, error) { return v.(encoding.TextMarshaler).MarshalText() },
		back: func(v any, b []byte) error { return v.(encoding.TextUnmarshaler).UnmarshalText(b) },
	},
	{
		marshal: "MarshalJSON", out: reflect.TypeFor[jsonMarshaler](), unmarshal: "UnmarshalJSON", in: reflect.TypeFor[jsonUnmarshaler](), major: majorBytes, tag: tagJSON,
		call: func(v any) ([]byte, error) { return v.(jsonMarshaler).MarshalJSON() },
		back: func(v any, b []byte) error { return v.(jsonUnmarshaler).UnmarshalJSON(b) },
	},
}

// methods is the pair that encodes a type.
type methods struct {
	*pair
	mayBeNull bool // MarshalCBOR may return any item
	half      bool // the type does not have the reverse method
}

var methodsKnown sync.Map // reflect.Type to *methods, nil for none

// methodsOf returns the methods that encode values of the type, or nil if they
// are encoded by their contents.
func methodsOf(t reflect.Type) *methods {
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer:
		return nil // the methods of the element or the dynamic type count
	}
	if t.Name() == "" && t.Kind() != reflect.Struct || t == timeType {
		return nil // it has no methods
	}
	if m, ok := methodsKnown.Load(t); ok {
		return m.(*methods)
	}
	var found *methods
	for _, p := range pairs {
		if whole, half := p.of(t); whole && (p.binary || !encodesAll(t)) || half && p.binary {
			found = &methods{p, p.major == 0, half}
			break
		}
	}
	methodsKnown.Store(t, found)
	return found
}

// encodesAll reports whether an encoding by contents includes all fields of t.
func encodesAll(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return false
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
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

// of reports whether the type itself has both methods (whole) or only the first
// (half). Methods of embedded fields do not count.
func (p *pair) of(t reflect.Type) (whole, half bool) {
	ptr := reflect.PointerTo(t)
	if !ptr.Implements(p.out) || t.Kind() == reflect.Struct && !declares(t, p.marshal) {
		return false, false
	}
	whole = ptr.Implements(p.in) && (t.Kind() != reflect.Struct || declares(t, p.unmarshal))
	return whole, !whole
}

// declares reports whether a struct type declares the method itself. A method
// that it has by embedding would omit the other fields. The compiler generates
// such a method, and its position is not in a source file.
func declares(t reflect.Type, name string) bool {
	embeds := false
	for i := range t.NumField() {
		embeds = embeds || t.Field(i).Anonymous
	}
	if !embeds {
		return true
	}
	var m reflect.Method
	var ok bool
	ptr := reflect.PointerTo(t)
	// With constant names, the linker can remove all other methods.
	switch name {
	case "MarshalCBOR":
		if m, ok = t.MethodByName("MarshalCBOR"); !ok {
			m, _ = ptr.MethodByName("MarshalCBOR")
		}
	case "UnmarshalCBOR":
		if m, ok = t.MethodByName("UnmarshalCBOR"); !ok {
			m, _ = ptr.MethodByName("UnmarshalCBOR")
		}
	case "MarshalBinary":
		if m, ok = t.MethodByName("MarshalBinary"); !ok {
			m, _ = ptr.MethodByName("MarshalBinary")
		}
	case "UnmarshalBinary":
		if m, ok = t.MethodByName("UnmarshalBinary"); !ok {
			m, _ = ptr.MethodByName("UnmarshalBinary")
		}
	case "GobEncode":
		if m, ok = t.MethodByName("GobEncode"); !ok {
			m, _ = ptr.MethodByName("GobEncode")
		}
	case "GobDecode":
		if m, ok = t.MethodByName("GobDecode"); !ok {
			m, _ = ptr.MethodByName("GobDecode")
		}
	case "MarshalText":
		if m, ok = t.MethodByName("MarshalText"); !ok {
			m, _ = ptr.MethodByName("MarshalText")
		}
	case "UnmarshalText":
		if m, ok = t.MethodByName("UnmarshalText"); !ok {
			m, _ = ptr.MethodByName("UnmarshalText")
		}
	case "MarshalJSON":
		if m, ok = t.MethodByName("MarshalJSON"); !ok {
			m, _ = ptr.MethodByName("MarshalJSON")
		}
	case "UnmarshalJSON":
		if m, ok = t.MethodByName("UnmarshalJSON"); !ok {
			m, _ = ptr.MethodByName("UnmarshalJSON")
		}
	}
	f := runtime.FuncForPC(m.Func.Pointer())
	if f == nil {
		return false
	}
	file, _ := f.FileLine(f.Entry())
	return !strings.HasPrefix(file, "<")
}

func (m *methods) encode(e *encoder, v reflect.Value) error {
	b, err := m.call(v.Addr().Interface())
	if err != nil {
		return fmt.Errorf("%s of %s: %w", m.marshal, typeText(v.Type()), err)
	}
	if m.half {
		return fmt.Errorf("%s has the method %s and not its reverse: add %s", typeText(v.Type()), m.marshal, m.unmarshal)
	}
	if err := e.memory.methodBytes(len(b)); err != nil {
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
	if m.half {
		return fmt.Errorf("%s has the method %s and not its reverse: add %s", typeText(v.Type()), m.marshal, m.unmarshal)
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
		err = d.memory.methodBytes(len(b))
	}
	if err != nil {
		return err
	}
	own := append([]byte{}, b...) // the method may keep the bytes
	if err := m.back(v.Addr().Interface(), own); err != nil {
		return fmt.Errorf("%s of %s: %w", m.unmarshal, typeText(v.Type()), err)
	}
	return nil
}
