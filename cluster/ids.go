package cluster

import (
	"context"

	"concert/cluster/internal/client"
)

// WithID returns a context that gives an id to the tasks that are submitted
// with this context. The servers keep the outcome of such a task for a week. A
// program that starts again, and submits the same task with the same id,
// receives this outcome.
//
//	fut := concert.Submit(cluster.WithID(ctx, "thumbnails of 2026-11-23"), ex, makeThumbnails, day)
//
// Submits of the same function with the same id, by the same client, are one
// task, even if their arguments differ. So a loop over arguments needs a
// different id for each argument. The first Submit runs the task. Later
// Submits receive the outcome of the task without another run. If two
// programs submit the task at the same moment, it may run twice. Each input
// of a Map has its own id, which depends on the index of the input, and
// differs from the id of a Submit. Even if the outcome is already stored,
// the client looks for it only while a worker offers the function.
//
// Several Submits may wait for one task. If one of them is canceled, the others
// still wait. The function is canceled when all Submits are canceled. The first
// Submit determines the argument, deadline, label and retries of the task. If
// this deadline passes while the function runs, the function is stopped. It
// runs again for the Submits with a later deadline.
//
// The kept outcome may be an error. A canceled task has no outcome, and runs
// when it is submitted again.
func WithID(ctx context.Context, id string) context.Context {
	return client.WithID(ctx, id)
}
