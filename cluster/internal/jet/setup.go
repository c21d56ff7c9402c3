package jet

import (
	"context"
	"fmt"
	"time"

	"concert/cluster/internal/wire"
)

// Timing of all clients and workers.
var (
	// HeartbeatPeriod is the time between two heartbeats of a worker. A worker
	// without a heartbeat for WorkerTimeout counts as lost. Tests change both.
	HeartbeatPeriod = 3 * time.Second
	WorkerTimeout   = wire.WorkerTimeout

	// Lease is the time after which the servers deliver an unfinished task to
	// another worker. Its worker renews the lease three times as often. A test
	// changes it.
	Lease = wire.Lease
)

// EnsureSetup creates missing streams and buckets, with the number of replicas
// that the existing ones have. If the servers require keys, they create the
// streams themselves, and EnsureSetup returns an error unless the key has one
// of the roles.
func (c *Conn) EnsureSetup(ctx context.Context, roles ...string) error {
	if c.key != nil {
		return c.checkRole(ctx, roles)
	}
	return c.RetryUntilDeadline(ctx, func(ctx context.Context) error {
		if there, err := wire.IsSetUp(ctx, c.JS); there || err != nil {
			return err
		}
		replicas, err := wire.Replicas(ctx, c.JS)
		if err != nil {
			return err
		}
		return c.Setup(ctx, replicas)
	})
}

// EnsureSetupAgain creates streams and buckets that were lost. If the servers
// require keys, they do it themselves.
func (c *Conn) EnsureSetupAgain(ctx context.Context) error {
	if c.key != nil {
		return nil
	}
	return c.EnsureSetup(ctx)
}

// Setup creates the streams and buckets, or updates their configuration.
func (c *Conn) Setup(ctx context.Context, replicas int) error {
	if err := wire.Setup(ctx, c.JS, replicas, WorkerTimeout); err != nil {
		return fmt.Errorf("cluster: setting up the streams: %w", err)
	}
	return nil
}
