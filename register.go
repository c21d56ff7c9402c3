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
// memory must have been registered. Functions at package level are recognised
// by their code, so both thumbnail and makeThumbnail above may be submitted.
// Closures, method values and instances of generic functions share their code
// with others of their kind: of these only the value that Register returned
// is recognised. The way is the one of Python's pickle: only the name travels.
//
// There the argument and the result travel as copies: what a task does to its
// argument is not seen by the submitter. []byte, string and slices of numbers
// travel as they are in memory; everything else as CBOR (RFC 8949), by the
// rules of encoding/json for exported fields (tags cbor or json); pointers
// become copies of what they point to, channels and functions are an error.
//
// Register panics if name or fn is empty, or the name is taken.
func Register[In, Out any](name string, fn func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	if name == "" || fn == nil {
		panic("concert: Register with an empty name or a nil function")
	}
	registry.add(&function{
		name: name,
		keep: fn,
		call: func(ctx context.Context, arg []byte) ([]byte, error) {
			in, err := decode[In](arg)
			if err != nil {
				return nil, fmt.Errorf("concert: argument of %s: %w", name, err)
			}
			out, err := fn(ctx, in)
			if err != nil {
				return nil, err
			}
			result, err := encode(out)
			if err != nil {
				return nil, fmt.Errorf("concert: result of %s: %w", name, err)
			}
			return result, nil
		},
	}, valuePointer(fn), codePointer(fn))
	return fn
}

// function is a registered function.
type function struct {
	name string
	keep any // the function value, whose address is a key and must stay its own
	call func(ctx context.Context, arg []byte) (result []byte, err error)
}

// registry holds the registered functions. It is written at start-up and read
// by remote executors.
var registry functions

type functions struct {
	mu      sync.RWMutex
	byName  map[string]*function         // guarded by mu
	byValue map[unsafe.Pointer]*function // guarded by mu: by the function value
	byCode  map[uintptr]*function        // guarded by mu: functions at package level
}

func (r *functions) add(f *function, value unsafe.Pointer, code uintptr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byName == nil {
		r.byName = make(map[string]*function)
		r.byValue = make(map[unsafe.Pointer]*function)
		r.byCode = make(map[uintptr]*function)
	}
	if _, taken := r.byName[f.name]; taken {
		panic(fmt.Sprintf("concert: Register: the name %q is taken", f.name))
	}
	r.byName[f.name] = f
	r.byValue[value] = f
	if topLevel(code) {
		r.byCode[code] = f
	}
}

// find returns the registered function that fn is, or ErrNotRegistered with
// what to do about it.
func (r *functions) find(value unsafe.Pointer, code uintptr) (*function, error) {
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
		file, line := f.FileLine(code)
		name, where = f.Name(), fmt.Sprintf(" (%s:%d)", file, line)
	}
	advice := "register it at package level: var f = concert.Register(\"a name\", " + name[strings.LastIndex(name, ".")+1:] + ")"
	if !topLevel(code) {
		advice = "closures, method values and generic functions run elsewhere only as the value that concert.Register returned"
	}
	return nil, fmt.Errorf("%w: %s%s: %s", ErrNotRegistered, name, where, advice)
}

func (r *functions) named(name string) *function {
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

// Invoke calls the function registered under name with an encoded argument:
// it is the other end of [Call], in the worker. Whatever the function does
// becomes an error: a panic a [*PanicError], a Goexit [ErrGoexit] (its goroutine
// ends nevertheless). An unknown name is [ErrNotRegistered].
func Invoke(ctx context.Context, name string, arg []byte) (result []byte, err error) {
	f := registry.named(name)
	if f == nil {
		return nil, fmt.Errorf("%w in the worker: %q: the worker runs another program, or another version of it", ErrNotRegistered, name)
	}
	returned := false
	defer func() {
		if !returned {
			err = ErrGoexit
			if v := recover(); v != nil {
				err = newPanicError(v)
			}
		}
	}()
	result, err = f.call(ctx, arg)
	returned = true
	return result, err
}
