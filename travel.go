package concert

import (
	"io/fs"
	"net"
	"os"
	"reflect"
	"strconv"
	"syscall"

	"concert/internal/values"
)

// travel encodes and decodes what has no kind of its own. Package values has
// the rules.
var travel = func() *values.Codec {
	c := values.New(values.Errors{Encode: EncodeError, Decode: DecodeError, Name: sentinelName, Named: sentinelNamed})
	for _, t := range []reflect.Type{
		reflect.TypeFor[*fs.PathError](), reflect.TypeFor[*os.LinkError](), reflect.TypeFor[*os.SyscallError](), reflect.TypeFor[syscall.Errno](),
		reflect.TypeFor[*strconv.NumError](),
		reflect.TypeFor[*net.OpError](), reflect.TypeFor[*net.DNSError](), reflect.TypeFor[*net.AddrError](), reflect.TypeFor[*net.ParseError](),
		reflect.TypeFor[net.InvalidAddrError](), reflect.TypeFor[net.UnknownNetworkError](),
		reflect.TypeFor[*net.TCPAddr](), reflect.TypeFor[*net.UDPAddr](), reflect.TypeFor[*net.UnixAddr](), reflect.TypeFor[*net.IPAddr](), reflect.TypeFor[*net.IPNet](),
	} {
		c.Learn(t)
	}
	return c
}()

// sentinelName returns the name of an error that is registered itself.
func sentinelName(err error) (string, bool) {
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	if !reflect.ValueOf(err).Comparable() {
		return "", false
	}
	for name, s := range errorNames.sentinels {
		if reflect.ValueOf(s).Comparable() && s == err {
			return name, true
		}
	}
	return "", false
}

func sentinelNamed(name string) (error, bool) {
	errorNames.mu.RLock()
	defer errorNames.mu.RUnlock()
	err, ok := errorNames.sentinels[name]
	return err, ok
}

// RegisterType gives a type a name under which an interface may hold it in a
// value that travels, see [Register]. The named types that registered
// functions and errors are made of have a name already, and so have those of
// Go itself, time.Time, time.Duration, and errors and addresses of the
// packages fs, net, os and syscall. RegisterType is for others, and for
// programs in which one type has different names. Like Register it belongs at
// package level.
//
// It panics if the name is empty, taken, or has one of the characters []*, or
// no value of T can travel.
func RegisterType[T any](name string) {
	if err := travel.Register(name, reflect.TypeFor[T]()); err != nil {
		panic("concert: RegisterType: " + err.Error())
	}
}
