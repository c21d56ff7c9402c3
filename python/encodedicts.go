package python

import (
	"reflect"
	"slices"
)

func mapEncoder(t reflect.Type) encodeFunc {
	elem := inner(t.Elem())
	key := keyEncoder(t.Key())
	check := merging(t.Key())
	entries := func(e *encoder, v reflect.Value) error {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		var seen map[string]bool
		if check {
			seen = make(map[string]bool, v.Len())
		}
		e.buf = append(e.buf, '{')
		f, n, counted := elem(), 0, false
		for entries := v.MapRange(); entries.Next(); n++ {
			start := len(e.buf)
			if err := key(e, entries.Key()); err != nil {
				return within(err, keyed(entries.Key())+" (the key)")
			}
			if check {
				switch b := e.buf[start:]; b[0] {
				case 'u', 's', 'i', 'l', 'N':
					if seen[string(b)] {
						return within(fail("two keys of the map are the same in Python"), keyed(entries.Key())+" (the key)")
					}
					seen[string(b)] = true
				default:
					counted = true
				}
			}
			err := f(e, entries.Value())
			if err == nil {
				err = e.fits(0)
			}
			if err != nil {
				return within(err, keyed(entries.Key()))
			}
		}
		if counted {
			e.forms = true
			e.buf = appendInt(append(e.buf, '.'), int64(n))
		}
		e.buf = append(e.buf, '0')
		return nil
	}
	return referenced(entries)
}

// keyEncoder returns the encoder of a key of a dict. Python must be able to
// hash a key, so an array is encoded as a tuple.
func keyEncoder(t reflect.Type) encodeFunc {
	if hooked(t) != nil {
		if infoOf(t).class == arrayClass || implements(t, jsonMarshaler, "MarshalJSON") && !implements(t, textMarshaler, "MarshalText") {
			return unfitKey(t)
		}
		return encoderOf(t)
	}
	switch t.Kind() {
	case reflect.Interface:
		return func(e *encoder, v reflect.Value) error {
			if v.IsNil() {
				e.buf = append(e.buf, 'N')
				return nil
			}
			return keyEncoder(v.Elem().Type())(e, v.Elem())
		}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && hooked(t.Elem()) == nil {
			return encoderOf(t)
		}
		item := keyEncoder(t.Elem())
		return func(e *encoder, v reflect.Value) (err error) {
			e.buf, err = appendHead(e.buf, '(', v.Len())
			for i := 0; err == nil && i < v.Len(); i++ {
				err = item(e, v.Index(i))
			}
			return err
		}
	case reflect.Pointer, reflect.Struct, reflect.Chan, reflect.UnsafePointer:
		return unfitKey(t)
	}
	return encoderOf(t)
}

func unfitKey(t reflect.Type) encodeFunc {
	return func(*encoder, reflect.Value) error {
		return fail("a Go %s cannot be the key of a dict: use strings or numbers, or give the type a method MarshalText", t)
	}
}

// merging reports whether two different keys of a type may be equal in
// Python, such as 1, 1.0 and True, or two durations of the same microsecond.
// If so, the encoder compares the encodings of keys that are texts, bytes,
// ints or nil: they are equal in Python only if their encodings are equal.
// If there are keys of other types, the encoder also sends the number of
// entries. The worker then compares this number with the number of entries
// of its dict.
func merging(t reflect.Type) bool {
	switch {
	case hooked(t) != nil || t.Kind() == reflect.Interface:
		return true
	case t.Kind() == reflect.Array:
		return merging(t.Elem())
	}
	return false
}

func structEncoder(t reflect.Type) encodeFunc { return fieldsEncoder(t, fieldsOf(t)) }

// fieldsEncoder returns the encoder of a struct with the fields fs.
func fieldsEncoder(t reflect.Type, fs *fields) encodeFunc {
	if fs.why != "" {
		return func(*encoder, reflect.Value) error { return fail("%s", fs.why) }
	}
	if len(fs.list) == 0 && t.NumField() > 0 {
		return func(*encoder, reflect.Value) error {
			return fail("a Go %s cannot be sent: it has no exported fields, and no MarshalText or MarshalJSON", t)
		}
	}
	funcs := make([]func() encodeFunc, len(fs.list))
	for i, f := range fs.list {
		funcs[i] = inner(f.t)
	}
	return func(e *encoder, v reflect.Value) error {
		if err := e.deeper(v); err != nil {
			return err
		}
		defer e.shallower(v)
		if fs.flat != nil && e.encodeFlat(fs.flat, v) {
			return nil
		}
		var sent [][]int
		e.buf = append(e.buf, '{')
		for i, f := range fs.list {
			value, err := v.FieldByIndexErr(f.index)
			if err != nil || f.omit(value) {
				continue // the field is omitted, or it is in an embedded struct and the pointer to this struct is nil
			}
			if err := e.text(f.name); err != nil {
				return within(err, "."+f.name)
			}
			if err := funcs[i]()(e, value); err != nil {
				return within(err, "."+f.name)
			}
			if len(fs.pointers) > 0 {
				sent = append(sent, f.index)
			}
		}
		e.buf = append(e.buf, '0')
		return fs.checkPointers(v, sent)
	}
}

// encodeFlat encodes a flat struct. It reports false if it has not encoded
// the struct. There are three reasons: an unexported field contains the
// struct, the encoding may become too long, or the struct has bytes that may
// be recorded (see references.go).
func (e *encoder) encodeFlat(s *flatStruct, v reflect.Value) bool {
	if !v.CanAddr() && !v.CanInterface() {
		return false // v is in an unexported field, so addressable cannot copy it
	}
	at := addressable(v).Addr().UnsafePointer()
	n, longest := s.size(at)
	if longest+5 >= minPart || e.fits(3*n) != nil { // bytes have a head of 5 bytes, and a byte that is not UTF-8 becomes three
		return false
	}
	e.buf = s.append(e.buf, at)
	return true
}

// checkPointers returns an error if v has an embedded pointer that is not
// nil, and no field of the pointed struct was sent. Without this error, the
// receiver would get a nil pointer. The parameter sent has the index paths
// of the fields that were sent.
func (fs *fields) checkPointers(v reflect.Value, sent [][]int) error {
	for _, p := range fs.pointers {
		at, err := v.FieldByIndexErr(p.index)
		if err != nil || at.IsNil() || slices.ContainsFunc(sent, p.holds) {
			continue
		}
		return within(fail("the embedded pointer to a %s would arrive as nil, because no field of this struct is sent: give the pointer a name by the tag json", p.t), "."+fieldPath(v.Type(), p.index))
	}
	return nil
}
