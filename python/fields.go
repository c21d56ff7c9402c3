package python

import (
	"reflect"
	"strings"
	"sync"
)

// field is a field of a struct, as an entry of a dict.
type field struct {
	name      string
	index     []int
	omitEmpty bool
}

type fields struct {
	list   []field
	byName map[string]int // exactly, and then in lower case
}

var fieldCache sync.Map // from reflect.Type to *fields

// fieldsOf returns the exported fields of a struct, by the rules of encoding/json:
// the tag json gives another name, "-" leaves the field out, and the fields of
// embedded structs count as the struct's own unless it has one of that name.
func fieldsOf(t reflect.Type) *fields {
	if known, ok := fieldCache.Load(t); ok {
		return known.(*fields)
	}
	fs := &fields{byName: make(map[string]int)}
	depth := make(map[string]int) // of the field with a name
	for _, f := range reflect.VisibleFields(t) {
		if !f.IsExported() {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Tag.Get("json") == "-" || f.Anonymous && name == "" && structOf(f.Type) {
			continue
		}
		if name == "" {
			name = f.Name
		}
		if at, taken := fs.byName[name]; taken {
			if depth[name] > len(f.Index) {
				fs.list[at] = field{name, f.Index, strings.Contains(options, "omitempty")}
				depth[name] = len(f.Index)
			}
			continue
		}
		depth[name] = len(f.Index)
		fs.byName[name] = len(fs.list)
		fs.list = append(fs.list, field{name, f.Index, strings.Contains(options, "omitempty")})
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

func structOf(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.Struct
}

// find returns the field for a key: of that name, or else of that name in other case.
func (fs *fields) find(key string) (field, bool) {
	i, ok := fs.byName[key]
	if !ok {
		if i, ok = fs.byName[strings.ToLower(key)]; !ok {
			return field{}, false
		}
	}
	return fs.list[i], true
}
