package client

import (
	"context"
	"time"
)

type retryKey struct{}

// Retry are the options of cluster.WithRetry.
type Retry struct {
	Attempts        int
	Delay, MaxDelay time.Duration
}

// WithRetry returns a context whose tasks have these options.
func WithRetry(ctx context.Context, opts Retry) context.Context {
	return context.WithValue(ctx, retryKey{}, opts)
}

// retryOf returns the options in a context, or the zero value.
func retryOf(ctx context.Context) Retry {
	r, _ := ctx.Value(retryKey{}).(Retry)
	return r
}
