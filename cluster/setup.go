package cluster

import (
	"cmp"
	"context"

	"concert/executor"
)

// Setup creates or updates the streams of a cluster, with the given number of
// replicas: 1, or 3 if the cluster has at least three servers. It is for
// operators of NATS servers. concertd creates the streams itself. If the
// servers require no keys, Dial and Serve create missing streams, with one
// replica.
func Setup(ctx context.Context, url string, replicas int, access *Access) error {
	access = cmp.Or(access, &Access{})
	ctx, stop := executor.Isolate(ctx)
	defer stop()
	conn, err := access.connect(ctx, url, "concert setup")
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.RetryUntilDeadline(ctx, func(ctx context.Context) error { return conn.Setup(ctx, replicas) })
}
