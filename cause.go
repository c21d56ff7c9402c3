package concert

import (
	"context"
	"fmt"

	"concert/internal/lazy"
)

// cancelledType is the type of ErrCancelled, as a RemoteError has it.
var cancelledType = fmt.Sprintf("%T", ErrCancelled)

// toCause returns the error of a call elsewhere. A worker does not know the cause
// with which the submitter's context has ended: there the cause is ErrCancelled.
// If the function has returned that cause, toCause returns an error with the text
// of the cause in this process, which wraps it.
func toCause(ctx context.Context, err error) error {
	r, ok := err.(*RemoteError)
	if !ok || r.Type != cancelledType || r.Text != ErrCancelled.Error() || ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); cause != ErrCancelled {
		return lazy.Errorf("%w", cause)
	}
	return err
}
