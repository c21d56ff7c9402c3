package python

import (
	"reflect"
	"sync"

	"concert/executor"
)

// standardPackages contains packages of the standard library. The methods of
// their types return soon and do not panic, so they are not user code.
var standardPackages = map[string]bool{
	"crypto/x509": true, "encoding/json": true, "log/slog": true, "math/big": true, "net": true, "net/netip": true, "regexp": true, "time": true,
}

// methods says whether the codec calls user code for values of a type: the
// methods MarshalText, UnmarshalText, MarshalJSON, UnmarshalJSON and IsZero.
type methods struct {
	always  bool // for any value
	depends bool // only when a value is encoded, and only if interfaces in the value hold certain values
}

var methodCache sync.Map // from reflect.Type to methods

// Methods reports whether the codec may call user code for a value of the type:
// for any value (always), or when it encodes certain values in interfaces
// (depends). In both cases, package executor calls the codec on another
// goroutine.
func (codec) Methods(t reflect.Type) (always, depends bool) {
	if known, ok := methodCache.Load(t); ok {
		m := known.(methods)
		return m.always, m.depends
	}
	var m methods
	m.add(t, make(map[reflect.Type]bool))
	methodCache.Store(t, m)
	return m.always, m.depends
}

// add adds to m the methods of a type, and of the types that it contains.
func (m *methods) add(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if value, ok := executor.SharedType(t); ok {
		m.add(value, seen) // the argument may contain the value
		return
	}
	if hooked(t) != nil || infoOf(t).class != byKind {
		m.always = m.always || !standardPackages[t.PkgPath()] && hasMethods(t)
		return
	}
	switch t.Kind() {
	case reflect.Interface:
		m.depends = true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		m.add(t.Elem(), seen)
	case reflect.Map:
		m.add(t.Key(), seen)
		m.add(t.Elem(), seen)
	case reflect.Struct:
		for _, f := range fieldsOf(t).list {
			m.always = m.always || f.isZero != nil && !standardPackages[deref(f.t).PkgPath()]
			m.add(f.t, seen)
		}
	}
}

// hasMethods reports whether the codec encodes or decodes a type by methods of
// the type.
func hasMethods(t reflect.Type) bool {
	return implements(t, textMarshaler, "MarshalText") || implements(t, textUnmarshaler, "UnmarshalText") ||
		implements(t, jsonMarshaler, "MarshalJSON") || implements(t, jsonUnmarshaler, "UnmarshalJSON")
}

// HoldsMethods reports whether encoding *p may call user code.
func (codec) HoldsMethods(p reflect.Value) bool {
	budget := maxInspected
	return holdsMethods(p.Elem(), &budget)
}

// maxInspected is the maximum number of parts of a value, such as elements
// and fields, that HoldsMethods inspects. If a value has more of them,
// HoldsMethods returns true.
const maxInspected = 64

func holdsMethods(v reflect.Value, budget *int) bool {
	always, depends := codec{}.Methods(v.Type())
	if always || !depends {
		return always
	}
	if *budget--; *budget < 0 {
		return true
	}
	if _, ok := executor.SharedType(v.Type()); ok {
		value, _, err := executor.SharedValue(v.Interface())
		return err == nil && value != nil && holdsMethods(reflect.ValueOf(value), budget)
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		return !v.IsNil() && holdsMethods(v.Elem(), budget)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if holdsMethods(v.Index(i), budget) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if holdsMethods(it.Key(), budget) || holdsMethods(it.Value(), budget) {
				return true
			}
		}
	case reflect.Struct:
		for _, f := range fieldsOf(v.Type()).list {
			if value, err := v.FieldByIndexErr(f.index); err == nil && holdsMethods(value, budget) {
				return true
			}
		}
	}
	return false
}
