package concert

import (
	"context"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

// Register gives fn a name under which it can be found in another process
// that runs the same program, or on another machine, and returns fn itself. It
// belongs at package level, so that every process registers the same:
//
//	var thumbnail = concert.Register("thumbnail", makeThumbnail)
//
// A function that is submitted to an executor whose workers do not share
// memory must have been registered. Functions at package level are recognized
// by their code, so both thumbnail and makeThumbnail above may be submitted.
// Closures, method values and instances of generic functions share their code
// with others of their kind, so only the value that Register returned is
// recognized. As with Python's pickle, only the name of a function is sent.
//
// The function in the other process receives a copy of the argument, and the
// submitter receives a copy of the result. So the submitter does not see
// changes that a task makes to its argument. The argument is copied at some
// time between the Submit and the start of the task: do not change it until the
// task has settled.
//
// Of the submitter's context, only the deadline and the end reach the other
// process. Its values do not. A deadline is sent as a time. The cause that
// [context.WithTimeoutCause] or [context.WithCancelCause] sets is not sent: in
// the other process, [context.Cause] is [context.DeadlineExceeded] or
// [ErrCanceled]. [RemoteError] describes the error that the submitter
// receives.
//
// A copy is exact. If a value cannot be copied exactly, the task fails with an
// error that names the part, as in "main.Job.Files[2].Handle". The rules are:
//
//   - A type with MarshalBinary, GobEncode or MarshalCBOR and the reverse
//     method is encoded by these methods. A url.URL is encoded by its fields.
//   - A struct is encoded as its exported fields, under the names of their cbor
//     or json tags.
//   - A value with an unexported field that is not zero is an error, unless its
//     type has MarshalText or MarshalJSON and the reverse method. A regular
//     expression of CompilePOSIX or Longest is an error.
//   - A syscall.Errno or syscall.Signal is an error on another system.
//   - The value in an interface is sent with the name of its type, see
//     [RegisterType].
//   - Values may be nested 20,000 deep.
//   - An encoded value may have 1 GiB. It has at least 1 byte for each 64 bytes
//     of memory that the value has beyond 1 MiB: zero bytes are added if
//     necessary.
//
// A copy does not preserve the following:
//
//   - Shared variables: two pointers to one variable become pointers to two
//     copies. A value that contains itself is an error, and so is a value whose
//     encoding has more than 32 MiB and consists almost only of such copies.
//   - Fields with the tag cbor:"-" or json:"-", which arrive as zero.
//   - Spare capacity of slices, and the monotonic clock reading of a time.
//   - The *Location of a time, which becomes a location of the same name. If
//     the worker has no such zone, it becomes a fixed zone with the same name
//     and offset.
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
	if name == "" || fn == nil {
		panic("concert: Register with an empty name or a nil function")
	}
	for what, t := range map[string]reflect.Type{"argument": reflect.TypeFor[In](), "result": reflect.TypeFor[Out]()} {
		if err := travel.Check(t); err != nil {
			panic(fmt.Sprintf("concert: Register(%q): %s %v", name, what, err))
		}
		travel.Learn(t)
	}
	registry.add(&Function{
		name: name,
		keep: []any{fn},
		call: func(ctx context.Context, arg Encoded, apart bool) (Encoded, error) {
			in, err := decodeArg[In](ctx, name, arg, apart)
			if err != nil {
				return Encoded{}, err
			}
			out, err := fn(ctx, in)
			if err != nil {
				return Encoded{}, err
			}
			return encodeResult(ctx, name, out, apart)
		},
		types: sync.OnceValue(func() string { return signature(reflect.TypeFor[In]()) + " -> " + signature(reflect.TypeFor[Out]()) }),
	}, valuePointer(fn), codePointer(fn))
	return fn
}

// Function is a registered function, for workers elsewhere.
type Function struct {
	name string
	keep []any // guarded by the registry's mu: function values, whose addresses are keys and must stay theirs
	// call decodes the argument, calls the function and encodes the result. See
	// decodeArg for apart.
	call  func(ctx context.Context, arg Encoded, apart bool) (result Encoded, err error)
	codec Codec         // nil unless it is declared
	types func() string // see Signature
}

// registry holds the registered functions. It is written at start-up and read
// by remote executors.
var registry functions

type functions struct {
	mu      sync.RWMutex
	byName  map[string]*Function         // guarded by mu
	byValue map[unsafe.Pointer]*Function // guarded by mu: by the function value
	byCode  map[uintptr]*Function        // guarded by mu: functions at package level
}

func (r *functions) add(f *Function, value unsafe.Pointer, code uintptr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = make(map[string]*Function)
		r.byValue = make(map[unsafe.Pointer]*Function)
		r.byCode = make(map[uintptr]*Function)
	}
	switch same := r.byName[f.name]; {
	case same == nil:
		r.byName[f.name] = f
	case f.codec != nil && sameCodec(same.codec, f.codec):
		same.keep = append(same.keep, f.keep...)
		f = same
	default:
		panic(fmt.Sprintf("concert: Register: the name %q is taken", f.name))
	}
	r.byValue[value] = f
	top := topLevel(code)
	if top {
		r.byCode[code] = f
	}
	learnName(identity{uintptr(value), code}, top, f.name)
}

// sameCodec reports whether two codecs are equal; those that cannot be compared
// are not.
func sameCodec(a, b Codec) bool {
	return reflect.TypeOf(a) == reflect.TypeOf(b) && reflect.ValueOf(a).Comparable() && a == b
}

// find returns the registered function that fn is, or ErrNotRegistered with
// what to do about it.
func (r *functions) find(value unsafe.Pointer, code uintptr) (*Function, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f := r.byValue[value]; f != nil {
		return f, nil
	}
	if f := r.byCode[code]; f != nil {
		return f, nil
	}
	name, where := "unknown function", ""
	if f := runtime.FuncForPC(code); f != nil {
		name = f.Name()
		if file, line := f.FileLine(code); file != "<autogenerated>" {
			where = fmt.Sprintf(" (%s:%d)", file, line)
		}
	}
	advice := "register it at package level: var f = concert.Register(\"a name\", " + name[strings.LastIndex(name, ".")+1:] + ")"
	if !topLevel(code) {
		advice = "closures, method values and generic functions run elsewhere only as the value that concert.Register returned"
	}
	return nil, fmt.Errorf("%w: %s%s: %s", ErrNotRegistered, name, where, advice)
}

// nameOf returns only the name of the function that find returns, or "".
func (r *functions) nameOf(value unsafe.Pointer, code uintptr) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if f := r.byValue[value]; f != nil {
		return f.name
	}
	if f := r.byCode[code]; f != nil {
		return f.name
	}
	return ""
}

func (r *functions) named(name string) *Function {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byName[name]
}

// topLevel reports whether the code belongs to one function only: it is
// declared at package level and not generic. Package runtime calls closures
// "pkg.outer.func1", method values "pkg.T.M-fm", instances "pkg.f[...]".
func topLevel(code uintptr) bool {
	f := runtime.FuncForPC(code)
	if f == nil {
		return false
	}
	name := f.Name()
	name = name[strings.LastIndex(name, "/")+1:]
	return strings.Count(name, ".") == 1 && !strings.HasSuffix(name, "-fm") && !strings.Contains(name, "[")
}

// codePointer is where the code of a function starts.
func codePointer(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// valuePointer is the function value itself: the address of what it closes
// over, or of its entry in the program's data. Unlike the code it is not
// shared with other closures, as long as somebody keeps it alive.
func valuePointer[F any](fn F) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&fn)) }

// Find returns the function that is registered under name. If no
// function is, the error wraps [ErrNotRegistered].
func Find(name string) (*Function, error) {
	f := registry.named(name)
	if f == nil {
		shown, _, _ := strings.Cut(name, "\n") // a name of package python may have a text below
		why := "the worker runs another program, or another version of it"
		if strings.HasPrefix(name, "python:") {
			why = "it is a function in Python, for a pool that python.New returns"
		}
		return nil, fmt.Errorf("%w in the worker: %q: %s", ErrNotRegistered, shown, why)
	}
	return f, nil
}

// Declared reports whether the function runs only elsewhere: see [Declare].
func (f *Function) Declared() bool { return f.codec != nil }

// Invoke calls the function with an encoded argument: it is the other end of a
// [Batch], in the worker. Whatever the function does becomes an error: a panic
// a [*PanicError], a Goexit [ErrGoexit] (its goroutine ends nevertheless).
func (f *Function) Invoke(ctx context.Context, arg Encoded) (result Encoded, err error) {
	return f.invoke(ctx, arg, false)
}

// invoke is Invoke, with apart as in decodeArg.
func (f *Function) invoke(ctx context.Context, arg Encoded, apart bool) (result Encoded, err error) {
	returned := false
	defer func() {
		if !returned {
			err = ErrGoexit
			if v := recover(); v != nil {
				err = NewPanicError(v)
			}
		}
	}()
	result, err = f.call(ctx, arg, apart)
	returned = true
	return result, err
}

// Invoke finds the function by [Find], and calls its Invoke.
func Invoke(ctx context.Context, name string, arg Encoded) (result Encoded, err error) {
	f, err := Find(name)
	if err != nil {
		return result, err
	}
	return f.Invoke(ctx, arg)
}

// InvokeApart is [Invoke] for workers that are goroutines, which nothing can
// end. Methods of the program that decode the argument or encode the result run
// on another goroutine. If they do not return within a second after ctx has
// ended, InvokeApart returns an error without them.
func InvokeApart(ctx context.Context, name string, arg Encoded) (result Encoded, err error) {
	f, err := Find(name)
	if err != nil {
		return result, err
	}
	return f.invoke(ctx, arg, true)
}
