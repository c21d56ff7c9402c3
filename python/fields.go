package python

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// field is a field of a struct, as an entry of a dict.
type field struct {
	name                string
	index               []int
	t                   reflect.Type
	omitEmpty, omitZero bool
	isZero              func(v reflect.Value) bool // of omitZero, by the method IsZero of the type
}

// omit reports whether a field with this value is left out.
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

// isZeroOf returns the function that calls the method IsZero of a type, or nil
// if it has none. It follows encoding/json: a nil pointer is zero.
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
	list   []field
	byName map[string]int // exactly, and then in lower case
}

var fieldCache sync.Map // from reflect.Type to *fields

// fieldsOf returns the exported fields of a struct, by the rules of encoding/json:
// the tag json gives another name, "-" leaves the field out, omitempty and
// omitzero leave some values out, and the fields of embedded structs count as
// the struct's own unless it has one of that name.
func fieldsOf(t reflect.Type) *fields {
	if known, ok := fieldCache.Load(t); ok {
		return known.(*fields)
	}
	fs := &fields{byName: make(map[string]int)}
	depth := make(map[string]int) // of the field with a name
	var whole [][]int             // indexes of embedded structs that are fields
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() {
			continue
		}
		if slices.ContainsFunc(whole, func(index []int) bool {
			return len(index) < len(f.Index) && slices.Equal(index, f.Index[:len(index)])
		}) {
			continue // of an embedded struct that is one value
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Tag.Get("json") == "-" {
			continue
		}
		if f.Anonymous && structOf(f.Type) {
			if name == "" && hooked(deref(f.Type)) == nil {
				continue // its fields follow
			}
			whole = append(whole, f.Index)
		}
		if name == "" {
			name = f.Name
		}
		own := field{name: name, index: f.Index, t: f.Type}
		for option := range strings.SplitSeq(options, ",") {
			own.omitEmpty = own.omitEmpty || option == "omitempty"
			own.omitZero = own.omitZero || option == "omitzero"
		}
		if own.omitZero {
			own.isZero = isZeroOf(f.Type)
		}
		if at, taken := fs.byName[name]; taken {
			if depth[name] > len(f.Index) {
				fs.list[at] = own
				depth[name] = len(f.Index)
			}
			continue
		}
		depth[name] = len(f.Index)
		fs.byName[name] = len(fs.list)
		fs.list = append(fs.list, own)
	}
	for i, f := range fs.list {
		if lower := strings.ToLower(f.name); lower != f.name {
			if _, taken := fs.byName[lower]; !taken {
				fs.byName[lower] = i
			}
		}
	}
	known, _ := fieldCache.LoadOrStore(t, fs)
	return known.(*fields)
}

func structOf(t reflect.Type) bool { return deref(t).Kind() == reflect.Struct }

func deref(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// find returns the number of the field for a key: of that name, or else of that name in
// other case.
func (fs *fields) find(key string) (int, bool) {
	i, ok := fs.byName[key]
	if !ok && utf8.ValidString(key) { // ToLower would replace what is not UTF-8
		i, ok = fs.byName[strings.ToLower(key)]
	}
	return i, ok
}

// bits is a set of small numbers.
type bits struct {
	low  uint64
	more map[int]bool
}

// set adds a number, and reports whether it was there.
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
