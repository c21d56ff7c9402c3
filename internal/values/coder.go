package values

import (
	"cmp"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// A coder encodes and decodes the values of one type. Its functions require
// addressable values.
type coder struct {
	typ    reflect.Type
	encode func(*encoder, reflect.Value) error
	decode func(*decoder, reflect.Value) error

	minLength int  // the minimum number of bytes of an encoding, see min_length.go
	null      bool // the encoding of a value may be null
	nilable   bool // nil is encoded as null, and null is decoded as nil, without a call of encode or decode
	methods   bool // the coder always runs user code, see user_code.go of package executor
	dynamic   bool // the coder may run user code, depending on the values in interfaces
}

// coder returns the coder of a type.
func (c *Codec) coder(t reflect.Type) *coder {
	if got, ok := c.coders.Load(t); ok {
		return got.(*coder)
	}
	b := &builder{codec: c, building: make(map[reflect.Type]*coder)}
	made := b.coder(t)
	// Set these fields only when all coders exist, because types can contain
	// each other.
	known := make(map[reflect.Type]int)
	for _, part := range b.building {
		part.minLength = minLength(part.typ, known)
		part.methods, part.dynamic = c.methodsIn(part.typ, make(map[reflect.Type]bool))
	}
	for typ, part := range b.building {
		c.coders.LoadOrStore(typ, part)
	}
	return made
}

// builder builds the coders of a type and of the types within it.
type builder struct {
	codec    *Codec
	building map[reflect.Type]*coder
}

func (b *builder) coder(t reflect.Type) *coder {
	if got, ok := b.codec.coders.Load(t); ok {
		return got.(*coder)
	}
	if c := b.building[t]; c != nil {
		return c
	}
	c := &coder{typ: t}
	b.building[t] = c
	b.build(c)
	return c
}

var timeType = reflect.TypeFor[time.Time]()

// build sets the functions of c by the rules of the package comment.
func (b *builder) build(c *coder) {
	t := c.typ
	if s, ok := specials[t]; ok {
		c.encode, c.decode = s.encode, s.decode
		return
	}
	if m := methodsOf(t); m != nil {
		c.null, c.nilable = m.null, m.nilable
		c.encode, c.decode = m.encode, m.decode
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		c.encode, c.decode = encodeBool, decodeBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		c.encode, c.decode = encodeInt, decodeInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		c.encode, c.decode = encodeUint, decodeUint
	case reflect.Float32:
		c.encode, c.decode = encodeFloat32, decodeFloat
	case reflect.Float64:
		c.encode, c.decode = encodeFloat64, decodeFloat
	case reflect.Complex64, reflect.Complex128:
		c.encode, c.decode = encodeComplex, decodeComplex
	case reflect.String:
		c.encode, c.decode = encodeString, decodeString
	case reflect.Pointer:
		c.null, c.nilable = true, true
		b.pointer(c)
	case reflect.Slice:
		c.null, c.nilable = true, true
		b.slice(c)
	case reflect.Array:
		b.array(c)
	case reflect.Map:
		c.null, c.nilable = true, true
		b.mapping(c)
	case reflect.Struct:
		b.structure(c)
	case reflect.Interface:
		c.null, c.nilable = true, true
		c.encode, c.decode = encodeInterface, decodeInterface
	default:
		err := unsupported(t)
		c.encode = func(*encoder, reflect.Value) error { return err }
		c.decode = func(*decoder, reflect.Value) error { return err }
	}
}

// unsupported returns the error of a type whose values cannot be encoded.
func unsupported(t reflect.Type) error {
	what := "unsafe pointers"
	switch t.Kind() {
	case reflect.Chan:
		what = "channels"
	case reflect.Func:
		what = "functions"
	}
	return fmt.Errorf("%s: %s cannot be copied to another process", typeText(t), what)
}

// Check returns an error if the type contains a channel, a function, an
// unsafe pointer, or a struct with two fields of the same name. It also
// returns an error if the type contains a type without the only method that
// could decode its values. Encode checks the rules that depend on the value.
func (c *Codec) Check(t reflect.Type) error {
	if err := check(t, make(map[reflect.Type]bool)); err != nil {
		return rooted(t, err)
	}
	return nil
}

// CheckContents does the same as Check, but also returns an error if nothing
// of a struct would be copied: a struct with unexported fields must have an
// exported field or methods for encoding. If the type is a pointer type,
// CheckContents checks the struct to which the pointer points.
func (c *Codec) CheckContents(t reflect.Type) error {
	if err := c.Check(t); err != nil {
		return err
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || isSpecial(t) || methodsOf(t) != nil {
		return nil
	}
	if fs, err := fieldsOf(t); err == nil && len(fs.encoded) == 0 && len(fs.unexported) > 0 {
		return fmt.Errorf("%s: it has no exported field: export one, or give it the methods MarshalBinary and UnmarshalBinary", typeText(t))
	}
	return nil
}

func check(t reflect.Type, seen map[reflect.Type]bool) error {
	if seen[t] || isSpecial(t) {
		return nil
	}
	if m := methodsOf(t); m != nil {
		return m.refused
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer:
		return check(t.Elem(), seen)
	case reflect.Slice, reflect.Array:
		return within("[...]", check(t.Elem(), seen))
	case reflect.Map:
		if err := check(t.Key(), seen); err != nil {
			return within("[key]", err)
		}
		return within("[...]", check(t.Elem(), seen))
	case reflect.Struct:
		fields, err := fieldsOf(t)
		if err != nil {
			return err
		}
		if len(fields.encoded) == 0 && len(fields.unexported) > 0 {
			return halfPair(t)
		}
		for _, f := range fields.encoded {
			if err := check(t.Field(f.index).Type, seen); err != nil {
				return within("."+t.Field(f.index).Name, err)
			}
		}
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return unsupported(t)
	}
	return nil
}

// pointer builds the coder of a pointer type. A nil pointer is encoded as
// null. Any other pointer is encoded as its element. If the encoding of an
// element can be null, too, the element is put into an array of one item. So
// the decoder can distinguish it from a nil pointer.
func (b *builder) pointer(c *coder) {
	elem := b.coder(c.typ.Elem())
	wrap := elem.null
	c.encode = func(e *encoder, v reflect.Value) error {
		if wrap {
			e.head(majorArray, 1)
		}
		if err := e.memory.pointed(elem.typ); err != nil {
			return err
		}
		return e.encode(elem, v.Elem())
	}
	c.decode = func(d *decoder, v reflect.Value) error {
		// The array is optional: programs in other languages send the element
		// alone.
		if wrap && d.peek() == majorArray<<5|1 {
			d.at++
		}
		if err := d.memory.pointed(elem.typ); err != nil {
			return err
		}
		p := reflect.New(elem.typ)
		if err := d.decode(elem, p.Elem()); err != nil {
			return err
		}
		v.Set(p.Convert(v.Type()))
		return nil
	}
}

// encodedName returns the name of a field in the encoding. If the result
// skip is set, a tag excludes the field. If the result optional is set, the
// field may be missing.
func encodedName(f reflect.StructField) (name string, optional, skip bool) {
	tag := cmp.Or(f.Tag.Get("cbor"), f.Tag.Get("json"))
	if tag == "-" {
		return "", false, true
	}
	name, options, _ := strings.Cut(tag, ",")
	name = cmp.Or(name, f.Name)
	return name, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero"), false
}
