package values

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// special is the coder of a type of the standard library. The type needs a
// special coder, because neither its contents nor its methods encode its
// values correctly.
type special struct {
	encode func(*encoder, reflect.Value) error
	decode func(*decoder, reflect.Value) error
}

var specials = map[reflect.Type]special{
	timeType:                          {encodeTime, decodeTime},
	reflect.TypeFor[time.Location]():  {encodeLocation, decodeLocation},
	reflect.TypeFor[url.Userinfo]():   {encodeUserinfo, decodeUserinfo},
	reflect.TypeFor[syscall.Errno]():  {encodeSystemNumber, decodeSystemNumber},
	reflect.TypeFor[syscall.Signal](): {encodeSystemNumber, decodeSystemNumber},
}

// isSpecial reports whether the type has a special coder.
func isSpecial(t reflect.Type) bool {
	_, ok := specials[t]
	return ok
}

// byContents are types that are encoded by their contents although they have
// methods. MarshalBinary of a URL returns the text of the URL, but different
// URLs can have the same text.
var byContents = map[reflect.Type]bool{reflect.TypeFor[url.URL](): true}

// encodeLocation appends an empty text for the zero Location, which is UTC.
// Any other Location is an error. time.Local is an error even if its fields
// are zero, because package time recognizes it by its address, and not by
// its contents.
func encodeLocation(e *encoder, v reflect.Value) error {
	if v.Addr().UnsafePointer() == unsafe.Pointer(time.Local) || !v.IsZero() {
		return errors.New("a time.Location cannot be copied to another process: send its name, and load it there by time.LoadLocation")
	}
	e.text("")
	return nil
}

func decodeLocation(d *decoder, v reflect.Value) error {
	b, err := d.raw(majorText, "a location")
	if err == nil && len(b) > 0 {
		err = errors.New("a time.Location other than the zero Location cannot be decoded")
	}
	if err == nil {
		v.SetZero()
	}
	return err
}

// encodeUserinfo appends an array of the user name and, if it is set, the
// password.
func encodeUserinfo(e *encoder, v reflect.Value) error {
	u := (*url.Userinfo)(v.Addr().UnsafePointer())
	parts := []string{u.Username()}
	if password, ok := u.Password(); ok {
		parts = append(parts, password)
	}
	e.head(majorArray, uint64(len(parts)))
	for _, s := range parts {
		if err := encodeString(e, reflect.ValueOf(s)); err != nil {
			return err
		}
	}
	return nil
}

func decodeUserinfo(d *decoder, v reflect.Value) error {
	n, err := d.length(majorArray, "a user name and a password")
	if err == nil && (n < 1 || n > 2) {
		err = fmt.Errorf("a user name and a password expected, not %d values", n)
	}
	if err != nil {
		return err
	}
	name, err := d.str("a user name")
	if err != nil {
		return err
	}
	u := url.User(name)
	if n == 2 {
		password, err := d.str("a password")
		if err != nil {
			return err
		}
		u = url.UserPassword(name, password)
	}
	*(*url.Userinfo)(v.Addr().UnsafePointer()) = *u
	return nil
}

// system names the operating system and the architecture, which define the
// error numbers and signal numbers.
const system = runtime.GOOS + "/" + runtime.GOARCH

// encodeSystemNumber appends an error number or a signal number, and the system
// that defines it.
func encodeSystemNumber(e *encoder, v reflect.Value) error {
	e.head(majorArray, 2)
	e.text(system)
	if v.CanInt() {
		return encodeInt(e, v)
	}
	return encodeUint(e, v)
}

func decodeSystemNumber(d *decoder, v reflect.Value) error {
	n, err := d.length(majorArray, "a system and a number")
	if err == nil && n != 2 {
		err = fmt.Errorf("a system and a number expected, not %d values", n)
	}
	if err != nil {
		return err
	}
	name, err := d.raw(majorText, "the name of a system")
	switch {
	case err != nil:
		return err
	case string(name) != system:
		return fmt.Errorf("the error or signal number comes from another system, %s, and means something else on %s: send the text or the name of the error or signal", shortened(name), system)
	case v.CanInt():
		return decodeInt(d, v)
	}
	return decodeUint(d, v)
}
