package python

import (
	"math"
	"math/big"
	"reflect"
	"time"
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
		f := elem()
		for entries := v.MapRange(); entries.Next(); {
			start := len(e.buf)
			if err := key(e, entries.Key()); err != nil {
				return within(err, keyed(entries.Key())+" (the key)")
			}
			if check {
				same := canonical(e.buf[start:], entries.Key())
				if seen[same] {
					return within(fail("two keys of the map are the same in Python"), keyed(entries.Key())+" (the key)")
				}
				seen[same] = true
			}
			err := f(e, entries.Value())
			if err == nil {
				err = e.fits(0)
			}
			if err != nil {
				return within(err, keyed(entries.Key()))
			}
		}
		e.buf = append(e.buf, '0')
		return nil
	}
	return func(e *encoder, v reflect.Value) error {
		if v.IsNil() {
			e.buf = append(e.buf, 'N')
			return nil
		}
		return e.reference(visitOf(v), v, entries)
	}
}

// keyEncoder returns the encoder of a key of a dict, which Python must be able
// to hash: so an array is a tuple.
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
	return func(*encoder, reflect.Value) error { return fail("a Go %s cannot be the key of a dict", t) }
}

// merging reports whether two different keys of a type may be equal in Python.
func merging(t reflect.Type) bool {
	switch {
	case t == durationType || t == bigInt || textForms[t] != "":
		return false
	case hooked(t) != nil || t.Kind() == reflect.Interface:
		return true
	case t.Kind() == reflect.Array:
		return merging(t.Elem())
	}
	return false
}

// canonical returns the same value for keys that are equal in Python, such as 1,
// 1.0 and True, or one time in two zones.
func canonical(b []byte, key reflect.Value) string {
	for key.Kind() == reflect.Interface && !key.IsNil() {
		key = key.Elem()
	}
	if t, ok := interfaceOf(key).(time.Time); ok && t.Location() != Naive {
		return "time " + t.UTC().Format(time.RFC3339Nano)
	}
	switch b[0] {
	case 'T':
		b = appendInt(nil, 1)
	case 'F':
		b = appendInt(nil, 0)
	case 'g', 'y':
		if b[0] == 'y' && math.Float64frombits(le.Uint64(b[9:])) != 0 {
			break
		}
		if f := math.Float64frombits(le.Uint64(b[1:])); f == math.Trunc(f) && !math.IsInf(f, 0) {
			n, _ := big.NewFloat(f).Int(nil)
			b, _ = appendBig(nil, n)
		} else {
			b = b[1:9]
		}
	}
	return string(b)
}

func interfaceOf(v reflect.Value) any {
	if !v.IsValid() || !v.CanInterface() {
		return nil
	}
	return v.Interface()
}

func structEncoder(t reflect.Type) encodeFunc {
	fs := fieldsOf(t)
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
		e.buf = append(e.buf, '{')
		for i, f := range fs.list {
			value, err := v.FieldByIndexErr(f.index)
			if err != nil || f.omit(value) {
				continue // err: of an embedded struct that is not there
			}
			if err := e.text(f.name); err != nil {
				return within(err, "."+f.name)
			}
			if err := funcs[i]()(e, value); err != nil {
				return within(err, "."+f.name)
			}
		}
		e.buf = append(e.buf, '0')
		return nil
	}
}
