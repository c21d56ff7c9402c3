package concert

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Functions returns all registered and declared functions, by name. An executor whose workers are programs of
// their own tells by it which of them can run what.
func Functions() []*Function {
	registry.mu.RLock()
	defer registry.mu.RUnlock()
	return slices.SortedFunc(maps.Values(registry.byName), func(a, b *Function) int { return strings.Compare(a.name, b.name) })
}

// Name returns the name under which the function is registered.
func (f *Function) Name() string { return f.name }

// Signature describes the types of the argument and the result as they travel: two programs in which a function has the
// same name and the same signature understand each other. Names of types do not count, those of fields do. It is made to be
// compared, or hashed. Of a declared function it is the type of its codec.
func (f *Function) Signature() string { return f.types() }

// signature describes a type as it travels.
func signature(t reflect.Type) string {
	var b strings.Builder
	describeType(&b, t, nil)
	return b.String()
}

var marshalers = []reflect.Type{
	reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[encoding.BinaryMarshaler](),
}

// describeType writes the description of t; around are the types that it is a part of.
func describeType(b *strings.Builder, t reflect.Type, around []reflect.Type) {
	for _, m := range marshalers {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			fmt.Fprintf(b, "%s.%s", t.PkgPath(), t.Name())
			return
		}
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
		describeType(b, t.Elem(), around)
	case reflect.Slice:
		b.WriteString("[]")
		describeType(b, t.Elem(), around)
	case reflect.Array:
		fmt.Fprintf(b, "[%d]", t.Len())
		describeType(b, t.Elem(), around)
	case reflect.Map:
		b.WriteByte('[')
		describeType(b, t.Key(), around)
		b.WriteByte(']')
		describeType(b, t.Elem(), around)
	case reflect.Struct:
		b.WriteByte('{')
		for f := range t.Fields() {
			name, ok := travelName(f)
			if !ok {
				continue
			}
			b.WriteString(name)
			b.WriteByte(' ')
			describeType(b, f.Type, around)
			b.WriteByte(';')
		}
		b.WriteByte('}')
	default:
		b.WriteString(t.Kind().String())
	}
}

// travelName is the name under which a field travels, with the options of its tag; ok is false if it does not travel.
func travelName(f reflect.StructField) (name string, ok bool) {
	if !f.IsExported() && !f.Anonymous {
		return "", false
	}
	tag := f.Tag.Get("cbor")
	if tag == "" {
		tag = f.Tag.Get("json")
	}
	if tag == "-" {
		return "", false
	}
	name, options, _ := strings.Cut(tag, ",")
	if name == "" {
		name = f.Name
	}
	if f.Anonymous {
		name = "+" + name
	}
	if options != "" {
		name += "," + options
	}
	return name, true
}
