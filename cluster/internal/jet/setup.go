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

// EnsureSetup sets up what is not there, with as many replicas as there is a part
// with already. Where servers ask for keys they do it themselves; then it makes
// sure that the key is for one of the roles, of which the first is what it
// takes.
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

// EnsureSetupAgain sets up what is not there any more. Where servers ask for keys
// they do it, and who has come in once need not again.
func (c *Conn) EnsureSetupAgain(ctx context.Context) error {
	if c.key != nil {
		return nil
	}
	return c.EnsureSetup(ctx)
}

// Setup is Setup on a connection.
func (c *Conn) Setup(ctx context.Context, replicas int) error {
	if err := wire.Setup(ctx, c.JS, replicas, WorkerTimeout); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
