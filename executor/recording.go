package executor

import (
	"context"
	"reflect"

	"concert/internal/values"
)

// Recording encodes the inputs and results of one function, so that a program
// can store them and find them in a later run. It is for package resume.
type Recording[In, Out any] struct {
	fn *Function
	// described describes how results are encoded.
	described string
}

// RecordingOf returns the Recording of a function. The function must be
// registered or declared, because other functions have no name that is the same
// in each run. If it is not, the error wraps [ErrNotRegistered].
func RecordingOf[In, Out any](fn func(context.Context, In) (Out, error)) (*Recording[In, Out], error) {
	f, err := registry.find(valuePointer(fn), codePointer(fn))
	if err != nil {
		return nil, err
	}
	out := reflect.TypeFor[Out]()
	if err := valueCodec.Check(out); err != nil { // possible for a declared function
		return nil, &valueError{"result of ", f.name, nil, err}
	}
	valueCodec.Learn(out)
	return &Recording[In, Out]{f, signature(out)}, nil
}

// Name returns the name of the function.
func (r *Recording[In, Out]) Name() string { return r.fn.name }

// Results returns a description of the encoding of results. If the type of
// the results changes, the description changes, too.
func (r *Recording[In, Out]) Results() string { return r.described }

// Input returns the encoding of an input. Equal inputs have equal encodings.
// The exception is methods of the program that encode equal inputs in
// different ways. The bytes may be the memory of the input. If Input fails,
// the error has the index of the input in a Map.
func (r *Recording[In, Out]) Input(index int64, in In) (e Encoded, err error) {
	defer func() {
		err = withInput(err, func() *Input { return &Input{r.fn.name, index, ""} })
	}()
	defer recoverMethod("argument of ", r.fn.name, &err)
	e, _, err = encodeTo(values.Work{Sorted: true}, nil, in, nil)
	if err != nil && r.fn.codec != nil {
		e, _, err = encodeTo(values.Work{}, nil, in, r.fn.codec)
	}
	if err != nil {
		err = &valueError{"argument of ", r.fn.name, nil, err}
	}
	return e, err
}

// Result returns the encoding of a result, for Decode. The bytes may be the
// memory of the result. If methods of the program encode the result, and do not
// return when ctx ends, Result returns an error soon afterwards.
func (r *Recording[In, Out]) Result(ctx context.Context, out Out) (Encoded, error) {
	return encodeResult(ctx, r.fn.name, out, true)
}

// Decode returns a result from its encoding. If methods of the program decode
// the result, and do not return when ctx ends, Decode returns an error soon
// afterwards.
func (r *Recording[In, Out]) Decode(ctx context.Context, e Encoded) (Out, error) {
	if decodeRunsUserCode[Out](nil) {
		return untilEnd(ctx, "result of ", r.fn.name, func() (Out, error) { return r.decode(e) })
	}
	return r.decode(e)
}

func (r *Recording[In, Out]) decode(e Encoded) (out Out, err error) {
	defer recoverMethod("result of ", r.fn.name, &err)
	if out, err = decode[Out](e); err != nil {
		err = &valueError{"result of ", r.fn.name, nil, err}
	}
	return out, err
}

// Failed returns the error of a call from the bytes that [EncodeError] has
// returned. The error has the index of the call's input in a Map.
func (r *Recording[In, Out]) Failed(index int64, b []byte) error {
	return withInput(DecodeError(b), func() *Input { return &Input{r.fn.name, index, ""} })
}
