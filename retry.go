package concert

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"concert/executor"
	"concert/internal/option"
)

// RetryOptions tunes Retry. The zero value, and nil, are ready to use.
type RetryOptions struct {
	// Attempts is the maximum number of calls of the function, including the
	// first one. Zero means 3.
	Attempts int

	// Delay is the pause before the second call. The pause doubles with each
	// further call. Zero means 100 ms.
	Delay time.Duration

	// MaxDelay is the maximum pause. Zero means 30 s. If the method RetryAfter
	// of an error returns more, the function is not called again.
	MaxDelay time.Duration

	// If reports whether to call the function again after an error. If it is
	// nil, the function is called again after all errors except
	// [context.Canceled] and [context.DeadlineExceeded]. Retry does not call
	// the method Temporary of an error: for network errors of the standard
	// library, this method returns false even while a server is only
	// restarting. If your errors have a method that says whether a retry may
	// help, call this method in If.
	If func(error) bool
}

// Retry returns a function that calls fn, calls fn again if the call fails,
// and returns the outcome of the last call. The length of a pause is random:
// between 50% and 100% of its nominal length. So tasks that failed at the
// same time do not retry at the same time. If an error in the chain has a
// method RetryAfter() time.Duration, and the method returns more than 0, the
// result of the method is the pause. In this way, an HTTP client can return
// the Retry-After header of a server. If ctx ends during a pause, the
// function returns the last error of fn, joined with the cause of ctx.
//
// Retry does not recover panics. The function that Retry returns is a closure.
// So for an executor in another process, register that closure, and not fn:
//
//	var fetch = concert.Register("fetch", concert.Retry(fetchOnce, nil))
//
// Retry panics if fn is nil, or an option is negative.
func Retry[In, Out any](fn func(context.Context, In) (Out, error), opts *RetryOptions) func(context.Context, In) (Out, error) {
	o := *cmp.Or(opts, &RetryOptions{})
	if fn == nil {
		panic("concert: Retry with a nil function")
	}
	option.NotNegative("concert: Retry", "RetryOptions.Attempts", o.Attempts)
	option.NotNegative("concert: Retry", "RetryOptions.Delay", o.Delay)
	option.NotNegative("concert: Retry", "RetryOptions.MaxDelay", o.MaxDelay)
	o.Attempts = cmp.Or(o.Attempts, 3)
	o.Delay = cmp.Or(o.Delay, 100*time.Millisecond)
	o.MaxDelay = cmp.Or(o.MaxDelay, 30*time.Second)
	if o.If == nil {
		o.If = func(err error) bool {
			return !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
		}
	}
	return func(ctx context.Context, in In) (Out, error) {
		delay := o.Delay
		for attempt := 1; ; attempt++ {
			out, err := fn(ctx, in)
			if err == nil || attempt == o.Attempts || ctx.Err() != nil || !o.If(err) {
				return out, err
			}
			pause := min(delay, o.MaxDelay)
			pause -= rand.N(pause/2 + 1)
			if delay < o.MaxDelay/2 {
				delay *= 2
			} else {
				delay = o.MaxDelay
			}
			var asked interface{ RetryAfter() time.Duration }
			if errors.As(err, &asked) && asked.RetryAfter() > 0 {
				if pause = asked.RetryAfter(); pause > o.MaxDelay {
					return out, err
				}
			}
			if sleep(ctx, pause); ctx.Err() != nil {
				return out, errors.Join(err, context.Cause(ctx))
			}
		}
	}
}

// sleep waits for d, or until ctx ends. During the wait, it releases the lock
// of the task or goroutine to which ctx belongs, if there is one.
func sleep(ctx context.Context, d time.Duration) {
	executor.Release(ctx, func() {
		select {
		case <-time.After(d):
		case <-ctx.Done():
		}
	})
}
