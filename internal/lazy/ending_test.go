package lazy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"concert/internal/lazy"
)

// TestEnding: if an Ending ends, the contexts that were derived from it before
// and after its end have its Err and cause.
func TestEnding(t *testing.T) {
	why := errors.New("enough")
	for _, c := range []struct {
		name               string
		err, cause         error
		wantErr, wantCause error
	}{
		{"deadline", context.DeadlineExceeded, nil, context.DeadlineExceeded, context.DeadlineExceeded},
		{"deadline with a cause", context.DeadlineExceeded, why, context.DeadlineExceeded, why},
		{"canceled", context.Canceled, nil, context.Canceled, context.Canceled},
		{"canceled with a cause", context.Canceled, why, context.Canceled, why},
		{"another error", why, why, context.Canceled, why},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := lazy.NewEnding()
			before, cancel := context.WithCancel(e)
			defer cancel()
			later, cancel := context.WithTimeout(before, time.Hour)
			defer cancel()
			called := make(chan struct{})
			context.AfterFunc(e, func() { close(called) })
			if e.Err() != nil || before.Err() != nil || context.Cause(e) != nil {
				t.Errorf("before the end: %v, %v, %v", e.Err(), before.Err(), context.Cause(e))
			}
			e.End(c.err, c.cause)
			e.End(context.Canceled, errors.New("a second end"))
			after, cancel := context.WithCancel(e)
			defer cancel()
			<-called
			for i, ctx := range []context.Context{e, before, later, after} {
				<-ctx.Done()
				if err, cause := ctx.Err(), context.Cause(ctx); err != c.wantErr || cause != c.wantCause {
					t.Errorf("context %d: %v, %v; want %v, %v", i, err, cause, c.wantErr, c.wantCause)
				}
			}
		})
	}
}
