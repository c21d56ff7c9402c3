package executor

import (
	"cmp"
	"context"
	"fmt"

	"concert/internal/lazy"
)

// canceledType is the value of RemoteError.Type if the error is ErrCanceled.
var canceledType = fmt.Sprintf("%T", ErrCanceled)

// toCause converts the error of a call in another process. When the submitter's
// context ends, its cause is not sent to the worker: the cause of the context
// in the worker is ErrCanceled. If the function has returned ErrCanceled,
// toCause returns an error that wraps the submitter's cause, and that has the
// text of this cause. Otherwise toCause returns err.
//
// ctx is the context of the call. submitter is the parent of ctx, and ends
// before ctx. So an executor that watches the parent can receive the error
// before ctx has ended.
func toCause(ctx, submitter context.Context, err error) error {
	r, ok := err.(*RemoteError)
	if !ok || r.Type != canceledType || r.Text != ErrCanceled.Error() {
		return err
	}
	cause := cmp.Or(context.Cause(ctx), context.Cause(submitter))
	if cause == nil || cause == ErrCanceled {
		return err
	}
	return lazy.Errorf("%w", cause)
}
