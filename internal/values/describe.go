package values

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Describe describes a type as it travels. Two types with one description
// understand each other. Names of types do not count, except of those with
// methods of their own; those of fields do.
func (c *Codec) Describe(t reflect.Type) string {
	var b strings.Builder
	describe(&b, t, nil)
	return b.String()
}

// describe writes the description of t; around are the types that it is a part
// of.
func describe(b *strings.Builder, t reflect.Type, around []reflect.Type) {
	if m := methodsOf(t); m != nil {
		fmt.Fprintf(b, "%s.%s by %s", t.PkgPath(), t.Name(), m.marshal)
		return
	}
	if t == timeType {
		b.WriteString(timeName)
		return
	}
	if i := slices.Index(around, t); i >= 0 {
		fmt.Fprintf(b, "^%d", len(around)-i)
		return
	}
	around = append(slices.Clip(around), t)
	switch t.Kind() {
	case reflect.Int:
		b.WriteString("int64") // it travels as one
	case reflect.Uint:
		b.WriteString("uint64")
	case reflect.Pointer:
		b.WriteByte('*')
		describe(b, t.Elem(), around)
	case reflect.Slice:
		b.WriteString("[]")
		describe(b, t.Elem(), around)
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describe(b, t.Elem(), around)
	case reflect.Map:
		b.WriteByte('[')
		describe(b, t.Key(), around)
		b.WriteByte(']')
		describe(b, t.Elem(), around)
	case reflect.Struct:
		fs, err := fieldsOf(t)
		if err != nil {
			b.WriteString(err.Error())
			return
		}
		b.WriteByte('{')
		for _, f := range fs.travel {
			b.WriteString(f.name)
			b.WriteByte(' ')
			describe(b, t.Field(f.index).Type, around)
			b.WriteByte(';')
		}
		b.WriteByte('}')
	default:
		b.WriteString(t.Kind().String())
	}
}
