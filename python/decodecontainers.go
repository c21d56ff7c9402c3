package python

import (
	"fmt"
	"math"
	"reflect"
	"unicode/utf8"
)

// entries reads the entries of a dict. keys is the Go type of the keys. After
// each key, entries calls value, which decodes the value of this key.
func (d *decoder) entries(keys reflect.Type, value func(key reflect.Value) error) error {
	if d.depth++; d.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	defer func() { d.depth-- }()
	for {
		kind, err := d.byte()
		if err != nil {
			return err
		}
		if kind == '0' {
			return nil
		}
		k := reflect.New(keys).Elem()
		if err := d.decodeKind(kind, k); err != nil {
			return within(err, "[a key]")
		}
		if !k.Comparable() {
			return within(fail("a Go map cannot have a key of type %T", k.Interface()), "[a key]")
		}
		if err := value(k); err != nil {
			return within(err, keyed(k))
		}
	}
}

var listNames = map[byte]string{'(': "a tuple", '[': "a list", '<': "a set", '>': "a frozenset"}

func (d *decoder) decodeList(kind byte, to reflect.Value) error {
	if d.atForm(kind) {
		return d.decodeForm(to)
	}
	n, err := d.count()
	if err != nil {
		return err
	}
	if d.depth++; d.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	defer func() { d.depth-- }()
	what := func() string { return fmt.Sprintf("%s of %d", listNames[kind], n) }
	if infoOf(to.Type()).class != byKind {
		return mismatch(aList, what(), to)
	}
	switch to.Kind() {
	case reflect.Slice:
		return d.decodeSlice(n, to)
	case reflect.Array:
		if to.Len() != n {
			return mismatch(aList, what(), to)
		}
		for i := range n {
			if err := d.decode(to.Index(i)); err != nil {
				return within(err, "["+itoa(i)+"]")
			}
		}
		return nil
	case reflect.Struct:
		fs := fieldsOf(to.Type())
		if kind != '(' || len(fs.list) != n {
			return mismatch(aList, what(), to)
		}
		for _, f := range fs.list {
			field, err := at(to, f.index)
			if err == nil {
				err = d.decode(field)
			}
			if err != nil {
				return within(err, "."+f.name)
			}
		}
		return nil
	}
	return mismatch(aList, what(), to)
}

// decodeSlice reads n items. The slice grows during the decoding, because an
// item may need much more memory in Go than in the encoding.
func (d *decoder) decodeSlice(n int, to reflect.Value) error {
	elem := to.Type().Elem()
	most := max(64, 16*len(d.rest)/max(1, int(elem.Size())))
	list := reflect.MakeSlice(to.Type(), min(n, most), min(n, most))
	kind := reflect.Invalid
	if infoOf(elem).class == byKind {
		kind = elem.Kind()
	}
	for i := range n {
		if i == list.Len() {
			list.Grow(1)
			list.SetLen(min(n, list.Cap()))
		}
		item := list.Index(i)
		if d.decodeSimple(kind, item) {
			continue
		}
		if err := d.decode(item); err != nil {
			return within(err, "["+itoa(i)+"]")
		}
	}
	to.Set(list)
	return nil
}

// decodeSimple reads the next value if the value is of a frequent type, and
// a variable of this kind can hold it. The frequent types are float, int of
// 32 bits, and str that is UTF-8. Otherwise decodeSimple reads nothing, and
// reports false. The class of the type must be byKind.
func (d *decoder) decodeSimple(kind reflect.Kind, to reflect.Value) bool {
	switch {
	case kind == reflect.Float64 && len(d.rest) >= 9 && d.rest[0] == 'g':
		to.SetFloat(math.Float64frombits(le.Uint64(d.rest[1:])))
		d.rest = d.rest[9:]
	case (kind == reflect.Int || kind == reflect.Int64) && len(d.rest) >= 5 && d.rest[0] == 'i':
		to.SetInt(int64(int32(le.Uint32(d.rest[1:]))))
		d.rest = d.rest[5:]
	case kind == reflect.String && len(d.rest) > 0 && d.rest[0] == 'u':
		text, ok := peekText(d.rest[1:])
		if !ok {
			return false
		}
		to.SetString(string(text))
		d.rest = d.rest[5+len(text):]
	default:
		return false
	}
	return true
}

// peekText returns the bytes of the str at the beginning of b. It reports
// false unless b has a length, and then bytes of this length that are UTF-8.
func peekText(b []byte) (text []byte, ok bool) {
	if len(b) < 4 || uint64(le.Uint32(b)) > uint64(len(b)-4) {
		return nil, false
	}
	text = b[4 : 4+le.Uint32(b)]
	return text, utf8.Valid(text)
}

func (d *decoder) decodeDict(to reflect.Value) error {
	if infoOf(to.Type()).class != byKind {
		return mismatch(aDict, "a dict", to)
	}
	switch to.Kind() {
	case reflect.Map:
		m, n := reflect.MakeMap(to.Type()), 0
		err := d.entries(to.Type().Key(), func(k reflect.Value) error {
			v := reflect.New(to.Type().Elem()).Elem()
			if err := d.decode(v); err != nil {
				return err
			}
			m.SetMapIndex(k, v)
			if n++; m.Len() != n {
				return fail("two keys of the dict become the same Go %s", k.Type())
			}
			return nil
		})
		if err == nil {
			to.Set(m)
		}
		return err
	case reflect.Struct:
		return d.decodeStruct(to)
	}
	return mismatch(aDict, "a dict", to)
}

// decodeStruct reads the entries of a dict into the fields of a struct.
func (d *decoder) decodeStruct(to reflect.Value) error {
	if d.depth++; d.depth > deepest {
		return fail("it is nested deeper than %d", deepest)
	}
	defer func() { d.depth-- }()
	fs := fieldsOf(to.Type())
	if fs.flat != nil {
		if rest, ok := fs.flat.decode(d.rest, to.Addr().UnsafePointer()); ok {
			d.rest = rest
			return nil
		}
	}
	return d.decodeFields(fs, to)
}

// decodeFields does the same as decodeStruct for any struct. The parameter
// fs has the fields of the struct.
func (d *decoder) decodeFields(fs *fields, to reflect.Value) error {
	var filled bits
	for {
		kind, err := d.byte()
		if err != nil || kind == '0' {
			return err
		}
		i, name, err := d.fieldName(kind, fs)
		if err != nil {
			return within(err, "[a key]")
		}
		switch {
		case i < 0:
			var ignored any
			err = d.decode(reflect.ValueOf(&ignored).Elem())
		case filled.set(i):
			err = fail("another key of the dict is for the same field of a Go %s", to.Type())
		default:
			var field reflect.Value
			if field, err = at(to, fs.list[i].index); err == nil && !d.decodeSimple(fs.list[i].simple, field) {
				err = d.decode(field)
			}
		}
		if err != nil {
			return within(err, "."+fmt.Sprint(name()))
		}
	}
}

// fieldName reads a key of a dict. It returns the index of the field for this
// key, or -1, and a function that returns the key.
func (d *decoder) fieldName(kind byte, fs *fields) (i int, name func() any, err error) {
	if text, ok := peekText(d.rest); ok && kind == 'u' {
		d.rest = d.rest[4+len(text):]
		i, ok := fs.byName[string(text)]
		if !ok {
			i, ok = fs.find(string(text))
		}
		if !ok {
			i = -1
		}
		return i, func() any { return string(text) }, nil
	}
	var key any
	if err := d.decodeKind(kind, reflect.ValueOf(&key).Elem()); err != nil {
		return -1, nil, err
	}
	if !reflect.ValueOf(&key).Elem().Comparable() {
		return -1, nil, fail("a Go map cannot have a key of type %T", key)
	}
	text, _ := key.(string)
	i, ok := fs.find(text)
	if !ok {
		i = -1
	}
	return i, func() any { return key }, nil
}

// at returns the field of v with this index path. If an embedded pointer in the
// path is nil, at allocates its struct.
func at(v reflect.Value, index []int) (reflect.Value, error) {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				if !v.CanSet() {
					return v, fail("the embedded pointer to %s cannot be set, because this type is not exported", v.Type().Elem())
				}
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v, nil
}
