package concert

import (
	"net"
	"reflect"

	"concert/internal/values"
)

// travel encodes and decodes values whose type has no kind of its own in
// [Encoded]. Package values describes the rules.
var travel = func() *values.Codec {
	c := values.New(values.Errors{Encode: encodeNested, Decode: DecodeError, Name: sentinelName, Named: sentinelNamed})
	for _, t := range []reflect.Type{
		reflect.TypeFor[*net.TCPAddr](), reflect.TypeFor[*net.UDPAddr](), reflect.TypeFor[*net.UnixAddr](), reflect.TypeFor[*net.IPAddr](), reflect.TypeFor[*net.IPNet](),
	} {
		c.Learn(t)
	}
	return c
}()

// sentinelName returns the name under which the error itself is registered.
func sentinelName(err error) (string, bool) {
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	for name, s := range errorNames.sentinels {
		if sameError(s, err) {
			return name, true
		}
	}
	return "", false
}

// sentinelNamed returns the error that is registered under the name.
func sentinelNamed(name string) (error, bool) {
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	err, ok := errorNames.sentinels[name]
	return err, ok
}

// RegisterType gives a type a name. An interface that is copied to another
// process can hold values of types with a name, see [Register]. Some types have
// a name already: the named types within registered arguments, results and
// errors; Go's predeclared types; time.Time and time.Duration; and errors and
// addresses of the packages fs, net, os and syscall. RegisterType is for other
// types, and for programs in which one type has different names. Like Register,
// it belongs at package level.
//
// RegisterType panics if the name is empty or taken, if it contains one of the
// characters []*, or if no value of T can be copied.
func RegisterType[T any](name string) {
	if err := travel.Register(name, reflect.TypeFor[T]()); err != nil {
		panic("concert: RegisterType: " + err.Error())
	}
}
