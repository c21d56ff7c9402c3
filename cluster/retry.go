package cluster

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"concert"
	"concert/cluster/internal/client"
	"concert/cluster/internal/wire"
)

// WithRetry returns a context whose tasks run again when their function fails,
// as with [concert.Retry]. But between two attempts, the servers store the
// task, and the task uses no slot of a worker. So a pause may be as long as a
// day, and another worker may run the next attempt. An attempt also counts if
// its worker is lost. If the last attempt fails, the task becomes a dead
// letter, which can be replayed, and settles with the error of its function.
//
// Attempts may be up to 1000, and Delay and MaxDelay up to a day. The option If
// must be nil: the worker tries again after all errors except the errors of a
// context. There is no attempt after the deadline of a task. WithRetry panics
// if an option is out of range.
func WithRetry(ctx context.Context, opts *concert.RetryOptions) context.Context {
	var o concert.RetryOptions
	if opts != nil {
		o = *opts
	}
	if o.Attempts < 0 || o.Attempts > wire.MaxAttempts || o.Delay < 0 || o.MaxDelay < 0 || o.Delay > wire.MaxRetryDelay || o.MaxDelay > wire.MaxRetryDelay || o.If != nil {
		panic(fmt.Sprintf("cluster: WithRetry: want Attempts from 0 to %d, Delay and MaxDelay from 0 to %v, and no If: got %+v", wire.MaxAttempts, wire.MaxRetryDelay, o))
	}
	r := client.Retry{Attempts: o.Attempts, Delay: o.Delay, MaxDelay: o.MaxDelay}
	r.Attempts = cmp.Or(r.Attempts, 3)
	r.Delay = cmp.Or(r.Delay, 100*time.Millisecond)
	r.MaxDelay = cmp.Or(r.MaxDelay, max(30*time.Second, r.Delay))
	return client.WithRetry(ctx, r)
}
