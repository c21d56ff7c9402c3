package client

import (
	"context"
	"fmt"
	"time"

	"concert/cluster/internal/wire"
	"concert/executor"
)

// The context of a Submit or a Map can have an id and retry options for its
// tasks.

// The dispatcher looks up idKey and retryKey.
func init() {
	executor.CaptureValue(idKey{})
	executor.CaptureValue(retryKey{})
}

type idKey struct{}

// WithID is cluster.WithID.
func WithID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, idKey{}, id)
}

// submitIndex is the index of a Submit in numberOfID. It differs from the index
// of the first input of a Map.
const submitIndex = -1

// numberOfID returns the TaskID.Number of a task with an id.
func numberOfID(function string, index int64, id string) string {
	return wire.Digest(fmt.Sprintf("%s\x00%d\x00%s", function, index, id))
}

type retryKey struct{}

// Retry are the options of cluster.WithRetry.
type Retry struct {
	Attempts        int
	Delay, MaxDelay time.Duration
}

// WithRetry returns a context that gives these options to its tasks.
func WithRetry(ctx context.Context, opts Retry) context.Context {
	return context.WithValue(ctx, retryKey{}, opts)
}
