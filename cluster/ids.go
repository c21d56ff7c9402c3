package cluster

import (
	"context"

	"concert/cluster/internal/client"
)

// WithID returns a context that gives tasks which are submitted with it an id.
// By the id their results are found again, for a week, also after the program
// has ended.
//
//	fut := concert.Submit(cluster.WithID(ctx, "thumbnails of 2026-11-23"), ex, makeThumbnails, day)
//
// Submits of the same function with the same id, by the same client, are one
// task, whatever their arguments: a loop over arguments needs an id for each.
// The first Submit runs the task. Later ones have its outcome without another
// run. The task may run twice if two programs submit it at the same moment.
// Each input of a Map has an id of its own, by its index, which differs from
// that of a Submit. There must be a worker for the function, even if the result
// is stored already, because otherwise tasks do not leave the program.
//
// Submits that wait for one task at the same time are canceled one by one: the
// function is canceled when none of them waits any longer. The first one gives
// the task its argument, deadline, label and retries. If the function is
// stopped at this deadline, it runs again for the Submits that have more time.
//
// A program that was stopped submits the same again. An error is an outcome
// like any other. A task that was canceled has none, and runs when it is
// submitted again.
func WithID(ctx context.Context, id string) context.Context {
	return client.WithID(ctx, id)
}
