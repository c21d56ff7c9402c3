package executor

import (
	"context"
	"fmt"

	"concert/internal/lazy"
)

// canceledType is the value of RemoteError.Type if the error is ErrCanceled.
var canceledType = fmt.Sprintf("%T", ErrCanceled)

// toCause converts the error of a call in another process. The cause with which
// the submitter's context has ended is not sent to the worker. There, the cause
// is ErrCanceled. If the function has returned this ErrCanceled, toCause
// returns an error that wraps the cause in this process and has its text.
// Otherwise it returns err.
//
// ctx is the context of the call. submitter is the parent of ctx, and ends
// before ctx: an executor that watches submitter can receive the error before
// ctx has ended.
func toCause(ctx, submitter context.Context, err error) error {
	r, ok := err.(*RemoteError)
	if !ok || r.Type != canceledType || r.Text != ErrCanceled.Error() {
		return err
	}
	cause := context.Cause(ctx)
	if cause == nil {
		cause = context.Cause(submitter)
	}
	if cause == nil || cause == ErrCanceled {
		return err
	}
	return lazy.Errorf("%w", cause)
}
