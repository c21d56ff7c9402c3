package executor

import (
	"context"
	"fmt"
	"time"

	"concert/internal/lazy"
)

// This file decodes the argument and encodes the result of a call in the
// worker. Methods of the program may take part in this, and may never return. A
// pool of processes kills the process in this case. A worker that is a
// goroutine cannot be killed (see InvokeIsolated). So such a worker runs these
// methods on another goroutine, and waits for them only as long as the call may
// last.

// decodeArg decodes an argument. If isolated is true, methods of the program
// run on another goroutine. If they do not return, decodeArg returns an error
// lateTime after the end of ctx. The goroutine then continues to run.
func decodeArg[In any](ctx context.Context, name string, arg Encoded, isolated bool) (in In, err error) {
	if isolated && decodeRunsUserCode[In](nil) {
		arg.Bytes = cloned(arg.Bytes) // the other goroutine may read the bytes after decodeArg has returned
		return untilEnd(ctx, "argument of ", name, func() (In, error) { return decodeArg[In](ctx, name, arg, false) })
	}
	defer recoverMethod("argument of ", name, &err)
	if in, err = decode[In](arg); err != nil {
		err = fmt.Errorf("concert: argument of %s: %w", name, err)
	}
	return in, err
}

// encodeResult encodes a result. If isolated is true, methods of the program
// run on another goroutine, as in decodeArg.
func encodeResult[Out any](ctx context.Context, name string, out Out, isolated bool) (result Encoded, err error) {
	if isolated && encodeRunsUserCode(nil, out) {
		return untilEnd(ctx, "result of ", name, func() (Encoded, error) { return encodeResult(ctx, name, out, false) })
	}
	defer recoverMethod("result of ", name, &err)
	result, err = encode(out)
	return result, resultError(name, err)
}

// resultError returns the error of a result that was not encoded because of
// err, or nil if err is nil.
func resultError(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("concert: result of %s: %w", name, err)
}

// lateTime is the time for which methods of the program may continue after
// the context of their call has ended. It is not zero, because the function
// of the call may return its result after that.
const lateTime = time.Second

// untilEnd calls fn, which encodes or decodes a value of the function with this
// name, on another goroutine. It waits until fn returns, or lateTime after ctx
// has ended.
func untilEnd[T any](ctx context.Context, what, name string, fn func() (T, error)) (v T, err error) {
	type outcome struct {
		v   T
		err error
	}
	returned := make(chan outcome, 1)
	go func() {
		o := outcome{err: &valueError{what, name, nil, ErrGoexit}}
		defer func() { returned <- o }() // runs even if fn ends the goroutine
		v, err := fn()
		o = outcome{v, err}
	}()
	select {
	case o := <-returned:
		return o.v, o.err
	case <-ctx.Done():
	}
	select {
	case o := <-returned:
		return o.v, o.err
	case <-time.After(lateTime):
		return v, &valueError{what, name, nil, lazy.Errorf("the methods of the value did not return before the call's context ended: %w", context.Cause(ctx))}
	}
}
