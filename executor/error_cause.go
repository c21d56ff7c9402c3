package executor

import (
	"context"
	"fmt"

	"concert/internal/lazy"
)

// canceledType is the value of RemoteError.Type if the error is ErrCanceled.
var canceledType = fmt.Sprintf("%T", ErrCanceled)

// toCause returns the error of a call elsewhere. A worker does not know the
// cause with which the submitter's context has ended: there the cause is
// ErrCanceled. If the function has returned that cause, toCause returns an
// error with the text of the cause in this process, which wraps it.
//
// ctx is the context of the call and submitter the one above it, which ends
// first: an executor that watches the submitter's context can have the error
// before ctx has ended.
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
