package python

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// field describes a field of a struct. In Python, the field is an entry of a
// dict.
type field struct {
	name                string
	index               []int
	t                   reflect.Type
	omitEmpty, omitZero bool
	isZero              func(v reflect.Value) bool // calls the method IsZero; used if omitZero is true; nil if the type has no IsZero
	simple              reflect.Kind               // the kind of a type for decodeSimple, or Invalid
}

// omit reports whether the field must not be sent if it has the value v.
func (f *field) omit(v reflect.Value) bool {
	if f.omitEmpty {
		switch v.Kind() {
		case reflect.Array, reflect.Map, reflect.Slice, reflect.String:
			return v.Len() == 0
		case reflect.Struct:
		default:
			return v.IsZero()
		}
	}
	switch {
	case !f.omitZero:
		return false
	case f.isZero != nil:
		return f.isZero(v)
	}
	return v.IsZero()
}

type zeroer interface{ IsZero() bool }

// isZeroOf returns a function that calls the method IsZero of a value, or nil
// if the type has no IsZero. As in encoding/json, a nil pointer is zero.
func isZeroOf(t reflect.Type) func(v reflect.Value) bool {
	switch zeroerType := reflect.TypeFor[zeroer](); {
	case t.Kind() == reflect.Interface && t.Implements(zeroerType):
		return func(v reflect.Value) bool {
			return v.IsNil() || v.Elem().Kind() == reflect.Pointer && v.Elem().IsNil() || v.Interface().(zeroer).IsZero()
		}
	case t.Kind() == reflect.Pointer && t.Implements(zeroerType):
		return func(v reflect.Value) bool { return v.IsNil() || v.Interface().(zeroer).IsZero() }
	case t.Implements(zeroerType):
		return func(v reflect.Value) bool { return v.Interface().(zeroer).IsZero() }
	case reflect.PointerTo(t).Implements(zeroerType):
		return func(v reflect.Value) bool { return addressable(v).Addr().Interface().(zeroer).IsZero() }
	}
	return nil
}

type fields struct {
	list     []field
	byName   map[string]int // by exact name; also by name in lower case if this is not the exact name of a field
	pointers []embeddedPointer
	why      string      // why the type cannot be sent or received; "" if it can
	flat     *flatStruct // nil if the struct is not flat; see flat.go
}

// embeddedPointer is an embedded field that is a pointer to a struct.
type embeddedPointer struct {
	index []int
	t     reflect.Type // of the struct
}

// holds reports whether the field with that index is in the embedded struct.
func (p *embeddedPointer) holds(index []int) bool {
	return len(index) > len(p.index) && slices.Equal(index[:len(p.index)], p.index)
}

var fieldCache sync.Map // from reflect.Type to *fields

// fieldsOf returns the exported fields of a struct, by the rules of
// encoding/json: the tag json can set the name, "-" excludes a field,
// omitempty and omitzero exclude some values, and the fields of embedded
// structs count as fields of the struct. If several fields have the same
// name, the least deeply embedded field is used. If there are several such
// fields, the one whose tag has a name is used. If this rule does not select
// one field, encoding/json ignores all of these fields. This package refuses
// the type instead, because the values of these fields would be lost.
func fieldsOf(t reflect.Type) *fields {
	if known, ok := fieldCache.Load(t); ok {
		return known.(*fields)
	}
	c := collector{fs: &fields{byName: make(map[string]int)}, best: make(map[string]candidate)}
	c.collect(t)
	known, _ := fieldCache.LoadOrStore(t, c.finish(t))
	return known.(*fields)
}

// collector finds the fields of a struct.
type collector struct {
	fs   *fields
	best map[string]candidate // by name
}

// candidate is the selected field of a name: among the visited fields with
// this name, the rules select it.
type candidate struct {
	field
	tagged bool
	rival  []int // the index of a field that the rules do not distinguish from the candidate, or nil
}

// collect visits the struct and its embedded structs, in breadth-first order.
// It visits an embedded type only at the smallest depth where the type occurs.
func (c *collector) collect(t reflect.Type) {
	type level struct {
		t     reflect.Type
		index []int
	}
	visited := make(map[reflect.Type]bool)
	for here := []level{{t: t}}; len(here) > 0; {
		for _, l := range here {
			visited[l.t] = true
		}
		var deeper []level
		for _, l := range here {
			for i := range l.t.NumField() {
				f := l.t.Field(i)
				index := append(slices.Clip(l.index), i)
				if within := deref(f.Type); c.embeds(f) {
					if f.Type.Kind() == reflect.Pointer {
						c.fs.pointers = append(c.fs.pointers, embeddedPointer{index, within})
					}
					if !visited[within] {
						deeper = append(deeper, level{within, index})
					}
				} else if (f.IsExported() || f.Anonymous && structOf(f.Type)) && f.Tag.Get("json") != "-" {
					c.add(f, index)
				}
			}
		}
		here = deeper
	}
}

// embeds reports whether the fields of an embedded struct are encoded as
// fields of the outer struct, as in encoding/json. An exported embedded
// struct stays one value if its tag has a name, or if the type has its own
// encoding. Reflection cannot set an unexported field or call its methods.
// So an unexported embedded struct stays one value only if its tag has a
// name, it is not a pointer, and its type has no encoding of its own.
func (c *collector) embeds(f reflect.StructField) bool {
	if !f.Anonymous || !structOf(f.Type) || f.Tag.Get("json") == "-" {
		return false
	}
	name, _ := tagName(f)
	plain := hooked(deref(f.Type)) == nil
	if f.IsExported() {
		return name == "" && plain
	}
	return name == "" || !plain || f.Type.Kind() == reflect.Pointer
}

func (c *collector) add(f reflect.StructField, index []int) {
	name, options := tagName(f)
	own := candidate{field: field{name: name, index: index, t: f.Type}, tagged: name != ""}
	if infoByName(f.Type).class == byKind {
		own.simple = f.Type.Kind()
	}
	if !own.tagged {
		own.name = f.Name
	}
	for option := range strings.SplitSeq(options, ",") {
		own.omitEmpty = own.omitEmpty || option == "omitempty"
		own.omitZero = own.omitZero || option == "omitzero"
	}
	if own.omitZero && f.IsExported() {
		own.isZero = isZeroOf(f.Type)
	}
	before, found := c.best[own.name]
	switch {
	case found && (len(before.index) < len(index) || before.tagged && !own.tagged):
	case found && before.tagged == own.tagged:
		before.rival = index
		c.best[own.name] = before
	default:
		c.best[own.name] = own
	}
}

// finish returns the fields in the order of the struct.
func (c *collector) finish(t reflect.Type) *fields {
	fs := c.fs
	for _, f := range c.best {
		fs.list = append(fs.list, f.field)
	}
	slices.SortFunc(fs.list, func(a, b field) int { return slices.Compare(a.index, b.index) })
	for i, f := range fs.list {
		fs.byName[f.name] = i
		if r := c.best[f.name].rival; r != nil && fs.why == "" {
			fs.why = fmt.Sprintf("a Go %s has two fields with the name %q, %s and %s: give one of them a different name by the tag json", t, f.name, fieldPath(t, f.index), fieldPath(t, r))
		}
	}
	for i, f := range fs.list {
		if lower := strings.ToLower(f.name); lower != f.name {
			if _, taken := fs.byName[lower]; !taken {
				fs.byName[lower] = i
			}
		}
	}
	fs.flat = newFlatStruct(t, fs)
	return fs
}

// tagName returns the name that the tag json gives a field, and the options
// after it. If encoding/json ignores the name, the result is an empty name.
func tagName(f reflect.StructField) (name, options string) {
	name, options, _ = strings.Cut(f.Tag.Get("json"), ",")
	if strings.ContainsFunc(name, func(r rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	}) {
		name = ""
	}
	return name, options
}

// fieldPath returns the name of a field in Go, such as User.Address.City.
func fieldPath(t reflect.Type, index []int) string {
	var names []string
	for _, i := range index {
		f := deref(t).Field(i)
		names, t = append(names, f.Name), f.Type
	}
	return strings.Join(names, ".")
}

func structOf(t reflect.Type) bool { return deref(t).Kind() == reflect.Struct }

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// find returns the index in fs.list of the field for a key: the field with this
// name, or otherwise a field whose name differs only in case.
func (fs *fields) find(key string) (int, bool) {
	i, ok := fs.byName[key]
	if !ok && utf8.ValidString(key) { // ToLower would replace bytes that are not UTF-8
		i, ok = fs.byName[strings.ToLower(key)]
	}
	return i, ok
}

// bits is a set of small numbers.
type bits struct {
	low  uint64
	more map[int]bool
}

// set adds a number to the set, and reports whether the number was already
// in the set.
func (b *bits) set(i int) bool {
	if i < 64 {
		was := b.low>>i&1 == 1
		b.low |= 1 << i
		return was
	}
	was := b.more[i]
	if b.more == nil {
		b.more = make(map[int]bool)
	}
	b.more[i] = true
	return was
}
