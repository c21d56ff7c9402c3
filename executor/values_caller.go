package executor

import (
	"context"
	"errors"
	"reflect"

	"concert/internal/values"
)

// This file encodes the argument and decodes the result of a call that runs
// in another process. If one of them fails, only this call fails. The last
// functions of this file report whether methods of the program take part in
// the encoding or decoding. If so, it runs on another goroutine, see
// user_code.go.

// encodeArg encodes an argument of f. It appends a scalar to buf and returns
// buf, like encodeTo.
func encodeArg[In any](w values.Work, buf []byte, f *Function, arg In) (e Encoded, _ []byte, err error) {
	defer recoverMethod("argument of ", f.name, &err)
	e, buf, err = encodeTo(w, buf, arg, f.codec)
	if err != nil {
		err = &valueError{"argument of ", f.name, nil, err}
	}
	return e, buf, err
}

// argumentFailure returns the error of a call of f whose argument was not
// encoded, because ctx has ended or the encoding has failed with err.
func argumentFailure(ctx context.Context, f *Function, err error) error {
	if ctx.Err() != nil {
		return &neverStarted{context.Cause(ctx)}
	}
	return &valueError{"argument of ", f.name, nil, err}
}

// decodeResult decodes a worker's result. The codec is nil unless the
// function is declared. If it fails, it returns the zero value, even if the
// codec has already decoded a part of the result.
func decodeResult[Out any](w values.Work, fn identity, codec Codec, result Encoded, failure error) (out Out, err error) {
	if failure != nil {
		return out, failure
	}
	defer func() { // looks up the name only for an error
		if v := recover(); v != nil {
			err = methodPanic("result of ", fn.name(), v)
		}
		if err != nil {
			var none Out
			out = none
		}
	}()
	own := codec == nil || !result.Foreign() // whether this package can decode the result; if that fails, the codec does, if there is one
	if own {
		out, err = decodeWithin[Out](w, result)
	}
	if !own || err != nil && codec != nil {
		if err = values.ErrLarge; !w.Small || result.Raw() || len(result.Bytes) <= values.SmallBytes {
			err = codec.Decode(result, &out)
		}
	}
	if err != nil {
		err = &valueError{"result of ", fn.name(), nil, err}
	}
	return out, err
}

// small bounds the work for one value on a goroutine of an executor: a value
// that is too large is encoded or decoded on another goroutine.
var small = values.Work{Small: true}

// isLarge reports whether err is the error of encodeArg or decodeResult for a
// value that is too large for the bound small.
func isLarge(err error) bool {
	v, ok := err.(*valueError)
	return ok && errors.Is(v.err, values.ErrLarge)
}

// recoverMethod turns the panic of a method that encodes or decodes a value
// into an error. It calls recover, so callers must defer it directly.
func recoverMethod(what, name string, err *error) {
	if v := recover(); v != nil {
		*err = methodPanic(what, name, v)
	}
}

// methodPanic returns the error of a value with a method that panicked with v.
func methodPanic(what, name string, v any) error {
	failure := &methodError{"a method that encodes or decodes the value panicked: " + panicText(v), NewPanicError(v)}
	return &valueError{what, name, nil, failure}
}

// methodError reports that a method of the program failed outside the task's
// function. It wraps the failure, such as a [*PanicError]. Its text does not
// say that the task panicked.
type methodError struct {
	text string
	err  error
}

// Error says which method failed, and how.
func (e *methodError) Error() string { return e.text }

// Unwrap returns the failure.
func (e *methodError) Unwrap() error { return e.err }

// valueError says that an argument or a result could not be encoded or decoded.
type valueError struct {
	what string // the part of the call: "argument of " or "result of "
	name string // the name of the function
	in   *Input // nil unless withInput has set it
	err  error
}

// Error names the function, the input of a Map, and the part of the value.
func (e *valueError) Error() string {
	of := e.name
	if e.in != nil {
		of = e.in.String()
	}
	return "concert: " + e.what + of + ": " + e.err.Error()
}

// Unwrap returns the reason.
func (e *valueError) Unwrap() error { return e.err }

// inspector is an optional interface of a Codec. It reports for which values
// user code runs. A Codec without these methods counts as user code itself.
type inspector interface {
	// Methods reports whether encoding or decoding a value of the type may
	// run user code. The result always is true if user code runs for every
	// value. The result depends is true if encoding runs user code for some
	// values in interfaces.
	Methods(t reflect.Type) (always, depends bool)
	// HoldsMethods reports whether encoding *p may run user code.
	HoldsMethods(p reflect.Value) bool
}

// inspectorOf returns the inspector for a codec, or nil if there is none.
func inspectorOf(codec Codec) inspector {
	if codec == nil {
		return valueCodec
	}
	i, _ := codec.(inspector)
	return i
}

// encodeRunsUserCode reports whether encoding arg may run user code.
func encodeRunsUserCode[In any](codec Codec, arg In) bool {
	always, depends := methodsOf[In](codec)
	if always || !depends {
		return always
	}
	return holdsMethods(codec, arg)
}

// holdsMethods reports whether encoding arg may run user code. It is a separate
// function so that an argument escapes to the heap only if holdsMethods is
// called.
func holdsMethods[In any](codec Codec, arg In) bool {
	return inspectorOf(codec).HoldsMethods(reflect.ValueOf(&arg))
}

// decodeRunsUserCode reports whether decoding an Out may run user code. Only
// the encoding of this package names the types of values in interfaces.
func decodeRunsUserCode[Out any](codec Codec) bool {
	always, depends := methodsOf[Out](codec)
	return always || depends && codec == nil && valueCodec.KnowsMethods()
}

// resultRunsUserCode reports whether decoding a result may run user code. A
// mapped result (see mapped.go) is decoded without methods of the program,
// and so is the plain slice for a handle.
func resultRunsUserCode[Out any](codec Codec, result Encoded) bool {
	if result.Mapped() || result.Raw() && isMappedResult[Out]() {
		return false
	}
	return decodeRunsUserCode[Out](codec)
}

// methodsOf reports whether encoding or decoding a T always runs user code,
// and whether this depends on the values in the interfaces of the T.
func methodsOf[T any](codec Codec) (always, depends bool) {
	switch any((*T)(nil)).(type) {
	case *int, *int64, *uint, *uint64, *float64, *bool, *string, *[]byte, *[]float64, *Encoded:
		return false, false // values of these types are not encoded by a Codec
	}
	i := inspectorOf(codec)
	if i == nil {
		return true, false
	}
	return i.Methods(reflect.TypeFor[T]())
}
