package values

import "reflect"

// standardPackages are those of the standard library whose types have methods
// that coders call. Theirs return soon and do not panic.
var standardPackages = map[string]bool{
	"crypto/x509": true, "encoding/asn1": true, "encoding/json": true, "go/token": true, "log/slog": true, "math/big": true, "math/rand/v2": true,
	"net": true, "net/http": true, "net/netip": true, "net/url": true, "reflect": true, "regexp": true, "sync/atomic": true, "time": true,
	"errors": true, "fmt": true, "io/fs": true, "os": true, "syscall": true, "strconv": true,
}

// methodsIn reports whether coders of a type, or of what it is made of, call
// methods that are not the standard library's, and whether that depends on
// what interfaces hold.
func methodsIn(t reflect.Type, seen map[reflect.Type]bool) (methods, dynamic bool) {
	if seen[t] || t == timeType {
		return false, false
	}
	seen[t] = true
	if methodsOf(t) != nil {
		return !standardPackages[t.PkgPath()], false
	}
	add := func(t reflect.Type) {
		m, d := methodsIn(t, seen)
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
			for _, f := range fs.travel {
				add(t.Field(f.index).Type)
			}
		}
	}
	return methods, dynamic
}

// Methods reports whether to encode or decode values of the type always may
// call methods that are not the standard library's, or depending on what
// interfaces hold.
func (c *Codec) Methods(t reflect.Type) (always, depends bool) {
	coder := c.coder(t)
	return coder.methods, coder.dynamic
}

// HoldsMethods reports whether to encode the value that p points to may call
// methods that are not the standard library's.
func (c *Codec) HoldsMethods(p reflect.Value) bool {
	looks := maxLooks
	return c.holdsMethods(p.Elem(), &looks)
}

// KnowsMethods reports whether what an interface holds may have methods that
// are called when it is decoded.
func (c *Codec) KnowsMethods() bool { return c.named.Load() }

// maxLooks is how many values are looked at within one: with more, it is
// taken to have such methods.
const maxLooks = 64

func (c *Codec) holdsMethods(v reflect.Value, looks *int) bool {
	coder := c.coder(v.Type())
	if coder.methods || !coder.dynamic {
		return coder.methods
	}
	if *looks--; *looks < 0 {
		return true
	}
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return false
		}
		x := v.Elem()
		for t := x.Type(); ; t = t.Elem() {
			if t.Kind() != reflect.Pointer {
				if x.Type().Implements(errorType) && !standardPackages[t.PkgPath()] {
					return true // its Error method is called
				}
				break
			}
		}
		return c.holdsMethods(x, looks)
	case reflect.Pointer:
		return !v.IsNil() && c.holdsMethods(v.Elem(), looks)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if c.holdsMethods(v.Index(i), looks) {
				return true
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if c.holdsMethods(it.Key(), looks) || c.holdsMethods(it.Value(), looks) {
				return true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if c.holdsMethods(v.Field(i), looks) {
				return true
			}
		}
	}
	return false
}
