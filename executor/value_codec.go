package executor

import (
	"net"
	"reflect"

	"concert/internal/values"
)

// valueCodec encodes and decodes values whose type has no kind of its own in
// [Encoded]. Package values describes the rules.
var valueCodec = func() *values.Codec {
	c := values.New(values.Errors{Encode: encodeNested, Decode: DecodeError, Name: sentinelName, Named: sentinelNamed}, sharedHandles)
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

// RegisterType implements concert.RegisterType.
func RegisterType[T any](name string) {
	if err := valueCodec.Register(name, reflect.TypeFor[T]()); err != nil {
		panic("concert: RegisterType: " + err.Error())
	}
}
