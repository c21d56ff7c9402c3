package values

import "reflect"

// In this file, user code is the methods that coders call, except the quick
// methods of standardMethods. So methods of the standard library that are
// not quick count as user code, too. For example, UnmarshalText of a regular
// expression of 10 bytes can need 8 MB of memory and 30 ms.

// errorPackages are the packages of the standard library whose error types have
// methods that return soon and do not panic.
var errorPackages = map[string]bool{
	"crypto/x509": true, "encoding/asn1": true, "encoding/json": true, "go/token": true, "log/slog": true, "math/big": true, "math/rand/v2": true,
	"net": true, "net/http": true, "net/netip": true, "net/url": true, "reflect": true, "regexp": true, "sync/atomic": true, "time": true,
	"errors": true, "fmt": true, "io/fs": true, "os": true, "syscall": true, "strconv": true,
}

// methodsIn examines the coders of a type and of the types within it. The
// result methods reports whether they run user code. The result dynamic
// reports whether they may run user code, depending on the values in
// interfaces.
func (c *Codec) methodsIn(t reflect.Type, seen map[reflect.Type]bool) (methods, dynamic bool) {
	if seen[t] || isSpecial(t) {
		return false, false
	}
	seen[t] = true
	if elem, handle := c.handles.Elem(t); handle {
		methods, dynamic = c.methodsIn(elem, seen)
		return methods || dynamic, false // holdsMethods cannot look into a handle
	}
	if m := methodsOf(t); m != nil {
		return !m.quick, false
	}
	add := func(t reflect.Type) {
		m, d := c.methodsIn(t, seen)
		methods, dynamic = methods || m, dynamic || d
	}
	switch t.Kind() {
	case reflect.Interface:
		dynamic = true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		add(t.Elem())
	case reflect.Map:
		add(t.Key())
		add(t.Elem())
	case reflect.Struct:
		if fs, err := fieldsOf(t); err == nil {
			for _, f := range fs.encoded {
				add(t.Field(f.index).Type)
			}
		}
	}
	return methods, dynamic
}

// Methods reports whether encoding or decoding a value of the type may run user
// code: for any value (always), or depending on the values in interfaces
// (depends).
func (c *Codec) Methods(t reflect.Type) (always, depends bool) {
	coder := c.coder(t)
	return coder.methods, coder.dynamic
}

// HoldsMethods reports whether encoding *p may run user code.
func (c *Codec) HoldsMethods(p reflect.Value) bool {
	budget := maxInspected
	return c.holdsMethods(p.Elem(), &budget)
}

// KnowsMethods reports whether decoding a value in an interface may run user
// code: whether a type that an interface may hold has such methods.
func (c *Codec) KnowsMethods() bool { return c.named.Load() }

// maxInspected is the maximum number of parts of a value that HoldsMethods
// inspects. If a value has more parts, HoldsMethods reports true.
const maxInspected = 64

func (c *Codec) holdsMethods(v reflect.Value, budget *int) bool {
	coder := c.coder(v.Type())
	if coder.methods || !coder.dynamic {
		return coder.methods
	}
	if *budget--; *budget < 0 {
		return true
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return false
		}
		x := v.Elem()
		if x.Type().Implements(errorType) && !plainError(x.Type()) {
			return true // encodeErrorIn calls methods of the error, or of errors that it wraps
		}
		return c.holdsMethods(x, budget)
	case reflect.Pointer:
		return !v.IsNil() && c.holdsMethods(v.Elem(), budget)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if c.holdsMethods(v.Index(i), budget) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if c.holdsMethods(it.Key(), budget) || c.holdsMethods(it.Value(), budget) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if c.holdsMethods(v.Field(i), budget) {
				return true
			}
		}
	}
	return false
}

// wrapper and joiner are the interfaces of errors that wrap other errors.
var (
	wrapper = reflect.TypeFor[interface{ Unwrap() error }]()
	joiner  = reflect.TypeFor[interface{ Unwrap() []error }]()
)

// plainError reports whether the methods of an error type belong to the
// standard library and call no method of another error.
func plainError(t reflect.Type) bool {
	if t.Implements(wrapper) || t.Implements(joiner) {
		return false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return errorPackages[t.PkgPath()]
}
