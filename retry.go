package concert

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"concert/internal/option"
)

// RetryOptions tunes Retry. The zero value, and nil, are ready to use.
type RetryOptions struct {
	// Attempts is how often the function is called at most, the first call
	// included. Zero means 3.
	Attempts int

	// Delay is the pause before the second call; it doubles from call to call.
	// Zero means 100 ms.
	Delay time.Duration

	// MaxDelay bounds the pause. Zero means 30 s. An error that asks for a
	// longer pause than that ends the attempts.
	MaxDelay time.Duration

	// If says which errors are worth another call. Nil means all but those of
	// a context.
	If func(error) bool
}

// Retry returns a function that calls fn again when it fails, and returns
// its last outcome. A pause is drawn at random from the upper half of its
// length, so that many that failed together do not come back together. An
// error with a method RetryAfter() time.Duration in its chain, as an HTTP
// server's Retry-After makes one, sets the pause instead, if it is above 0.
// When ctx ends during a pause, Retry returns the error that led to it, joined with the cause.
//
// A task's panics are not errors here: they pass. What Retry returns is a
// closure, so for an executor elsewhere it is Retry's result that has to be
// registered:
//
//	var fetch = concert.Register("fetch", concert.Retry(fetchOnce, nil))
//
// Retry panics if fn is nil, or an option is negative.
func Retry[In, Out any](fn func(context.Context, In) (Out, error), opts *RetryOptions) func(context.Context, In) (Out, error) {
	var o RetryOptions
	if opts != nil {
		o = *opts
	}
	if fn == nil {
		panic("concert: Retry with a nil function")
	}
	option.NotNegative("concert: Retry", "RetryOptions.Attempts", o.Attempts)
	option.NotNegative("concert: Retry", "RetryOptions.Delay", o.Delay)
	option.NotNegative("concert: Retry", "RetryOptions.MaxDelay", o.MaxDelay)
	if o.Attempts == 0 {
		o.Attempts = 3
	}
	if o.Delay == 0 {
		o.Delay = 100 * time.Millisecond
	}
	if o.MaxDelay == 0 {
		o.MaxDelay = 30 * time.Second
	}
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

// sleep waits for a time, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if r := ReleaserOf(ctx); r != nil {
		r.Release(func() { sleepUnlocked(ctx, d) })
		return
	}
	sleepUnlocked(ctx, d)
}

func sleepUnlocked(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
