package values

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Describe returns a description of a type's encoding. If two types have the
// same description, an encoded value of one type can be decoded as the other
// type. The description has the names of fields. It has the name of a type only
// if methods of the type or a special coder encode the values.
func (c *Codec) Describe(t reflect.Type) string {
	var b strings.Builder
	describe(&b, t, nil)
	return b.String()
}

// describe writes the description of t. The parameter enclosing has the
// types that contain t.
func describe(b *strings.Builder, t reflect.Type, enclosing []reflect.Type) {
	if m := methodsOf(t); m != nil {
		fmt.Fprintf(b, "%s.%s by %s", t.PkgPath(), t.Name(), m.marshal)
		return
	}
	if isSpecial(t) {
		b.WriteString(ownName(t))
		return
	}
	if i := slices.Index(enclosing, t); i >= 0 {
		fmt.Fprintf(b, "^%d", len(enclosing)-i)
		return
	}
	enclosing = append(slices.Clip(enclosing), t)
	switch t.Kind() {
	case reflect.Int:
		b.WriteString("int64") // int and int64 have the same encoding
	case reflect.Uint:
		b.WriteString("uint64")
	case reflect.Pointer:
		b.WriteByte('*')
		describe(b, t.Elem(), enclosing)
	case reflect.Slice:
		b.WriteString("[]")
		describe(b, t.Elem(), enclosing)
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describe(b, t.Elem(), enclosing)
	case reflect.Map:
		b.WriteByte('[')
		describe(b, t.Key(), enclosing)
		b.WriteByte(']')
		describe(b, t.Elem(), enclosing)
	case reflect.Struct:
		fs, err := fieldsOf(t)
		if err != nil {
			b.WriteString(err.Error())
			return
		}
		b.WriteByte('{')
		for _, f := range fs.encoded {
			b.WriteString(f.name)
			b.WriteByte(' ')
			describe(b, t.Field(f.index).Type, enclosing)
			b.WriteByte(';')
		}
		b.WriteByte('}')
	default:
		b.WriteString(t.Kind().String())
	}
}
