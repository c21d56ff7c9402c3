package concert

// This file encodes the argument and decodes the result of a call that runs in
// another process. If one of them fails, only this call fails.

// encodeArg encodes an argument of f. It uses the buffer like encodeTo.
func encodeArg[In any](buf []byte, f *Function, arg In) (e Encoded, _ []byte, err error) {
	defer recoverMethod("argument of ", f.name, &err)
	e, buf, err = encodeTo(buf, arg, f.codec)
	if err != nil {
		err = &valueError{"argument of ", f.name, nil, err}
	}
	return e, buf, err
}

// decodeResult decodes a worker's result. The codec is nil unless the function
// is declared.
func decodeResult[Out any](fn identity, codec Codec, result Encoded, failure error) (out Out, err error) {
	if failure != nil {
		return out, failure
	}
	defer func() { // the name is looked up only if it is needed
		if v := recover(); v != nil {
			err = methodPanic("result of ", fn.name(), v)
		}
	}()
	if codec == nil {
		out, err = decode[Out](result)
	} else if out, err = decode[Out](result); err != nil {
		err = codec.Decode(result, &out)
	}
	if err != nil {
		err = &valueError{"result of ", fn.name(), nil, err}
	}
	return out, err
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
	failure := &methodError{"a method that encodes or decodes it panicked: " + panicText(v), NewPanicError(v)}
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
	what string // "argument of " or "result of "
	name string // of the function
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
