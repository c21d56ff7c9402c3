package concert

import (
	"context"

	"concert/executor"
)

// Register gives fn a name under which it can be found in another process that
// runs the same program, or on another machine, and returns fn itself. The call
// of Register belongs at package level, so that every process registers the
// same functions:
//
//	var thumbnail = concert.Register("thumbnail", makeThumbnail)
//
// If the workers of an executor do not share memory with the caller, only
// registered functions can be submitted to it. Functions at package level
// are recognized by their code, so both thumbnail and makeThumbnail above
// may be submitted. Several closures can have the same code, as can several
// method values or instances of a generic function. So if the function is
// one of these kinds, only the value that Register returned is recognized.
// As with Python's pickle, only the name of a function is sent.
//
// The function in the other process receives a copy of the argument, and the
// submitter receives a copy of the result. So the submitter does not see
// changes that a task makes to its argument. The argument is copied at some
// time between the Submit and the start of the task: do not change it until the
// task has settled.
//
// The other process receives only two parts of the submitter's context: the
// deadline, as a time, and the information that the context has ended. It
// does not receive the values of the context. The cause that
// [context.WithTimeoutCause] or [context.WithCancelCause] sets is not sent:
// in the other process, [context.Cause] is [context.DeadlineExceeded] or
// [ErrCanceled]. [RemoteError] describes the error that the submitter
// receives.
//
// A copy is exact. If a value cannot be copied exactly, the task fails with an
// error that names the part, as in "main.Job.Files[2].Handle". The rules are:
//
//   - A type with MarshalBinary, GobEncode or MarshalCBOR and the reverse
//     method is encoded by these methods. As an exception, a url.URL is encoded
//     by its fields.
//   - A struct is encoded as its exported fields, under the names of their cbor
//     or json tags.
//   - A value with an unexported field that is not zero is an error, unless its
//     type has MarshalText or MarshalJSON and the reverse method. A regular
//     expression made by CompilePOSIX, or changed by its method Longest, is an
//     error.
//   - A syscall.Errno or syscall.Signal is an error if the other process runs
//     on another operating system or architecture.
//   - The value in an interface is sent with the name of its type, see
//     [RegisterType].
//   - Values may be nested 20,000 deep.
//   - An encoded value may have at most 1 GiB. For a value that needs more than
//     1 MiB of memory, the encoded value has at least 1 byte for each 64 bytes
//     beyond that: zero bytes are added if necessary.
//
// A copy does not preserve the following:
//
//   - Shared variables: two pointers to one variable become pointers to two
//     copies. A value that contains itself is an error. So is a value with
//     more than 32 MiB of such copies, if they are nearly all of its
//     encoding.
//   - Fields with the tag cbor:"-" or json:"-", which arrive as zero.
//   - Spare capacity of slices, and the monotonic clock reading of a time.
//   - The *Location of a time, which becomes a location of the same name. If
//     the worker has no time zone of this name, the location becomes a fixed
//     zone with the same name and offset.
//   - The type of an error in an interface, unless the type or the error itself
//     is registered. The error arrives as a [*RemoteError].
//   - Data that the methods of a type do not encode.
//
// Register panics if name is empty or taken, if fn is nil, or if In or Out
// contain a type whose values cannot be copied. These are channels, functions
// and unsafe pointers; types with MarshalBinary, GobEncode or MarshalCBOR and
// without the reverse method; and types without exported fields that have
// MarshalText or MarshalJSON and not the reverse method. An UnmarshalBinary
// with a value receiver counts as missing, unless the type is a map.
func Register[In, Out any](name string, fn func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return executor.Register(name, fn)
}

// RegisterType gives a type a name. An interface that is copied to another
// process can hold values of types with a name, see [Register]. Some types have
// a name already: the named types within registered arguments, results and
// errors; Go's predeclared types; time.Time and time.Duration; and errors and
// addresses of the packages fs, net, os and syscall. RegisterType is for other
// types, and for a type whose package path or name differs between the program
// that submits and the program of the workers. Like Register, it belongs at
// package level.
//
// RegisterType panics if the name is empty or taken, if it contains one of the
// characters []*, or if no value of T can be copied.
func RegisterType[T any](name string) {
	executor.RegisterType[T](name)
}

// RegisterError lets a sentinel error keep its identity between processes: if
// errors.Is(e, err) is true for the error e of a task in the worker, it is also
// true for the error that the submitter receives. Like [Register],
// RegisterError belongs at package level. It returns err. It panics if the name
// is empty or belongs to another error, or if err is nil.
//
// The sentinel errors of this module and of the packages bufio, bytes,
// context, errors, fs, hex, io, net, os, path and strconv are registered. So
// are the sentinel errors of os/exec in programs that import package
// processes. A [syscall.Errno] in the chain of an error keeps its identity
// if both processes run on the same operating system and architecture. If
// the program compares errors with sentinels of other packages, such as
// database/sql and net/http, register these sentinels:
//
//	var (
//		_ = concert.RegisterError("sql.ErrNoRows", sql.ErrNoRows)
//		_ = concert.RegisterError("http.ErrServerClosed", http.ErrServerClosed)
//	)
func RegisterError(name string, err error) error {
	return executor.RegisterError(name, err)
}

// RegisterErrorType lets errors of type E keep their type and fields between
// processes, so that errors.As finds them. These errors are copied like
// arguments, see [Register]. In a field of type error, registered sentinels and
// errors of registered types arrive unchanged, and other errors arrive as a
// [*RemoteError]. If an error cannot be encoded, only its text and the reason
// are sent. [RemoteError.Unwrap] returns an error with this reason.
//
// These types are registered: fs.PathError, os.LinkError, os.SyscallError,
// syscall.Errno, strconv.NumError, and net.OpError, net.DNSError,
// net.AddrError, net.ParseError, net.InvalidAddrError and
// net.UnknownNetworkError. If an error wraps several errors of one type,
// errors.As finds the first of them.
//
// RegisterErrorType panics if the name is empty or taken, if E is an interface,
// or if no value of E can be copied to another process.
func RegisterErrorType[E error](name string) {
	executor.RegisterErrorType[E](name)
}
