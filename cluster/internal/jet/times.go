package jet

import (
	"time"

	"concert/cluster/internal/wire"
)

// Times must be the same in all clients and workers of a cluster. Only tests
// change the values that DefaultTimes returns.
type Times struct {
	// HeartbeatPeriod is the time between two heartbeats of a worker. A worker
	// that sends no heartbeat for WorkerTimeout counts as lost.
	HeartbeatPeriod, WorkerTimeout time.Duration
	// Lease is the time for which a worker owns a task. If the worker does not
	// renew the lease in this time, the servers deliver the task to another
	// worker. Workers renew leases after a third of this time.
	Lease time.Duration
	// ValueAge is the time after which the servers delete large values. Clients
	// upload shared values again after half of this time.
	ValueAge time.Duration
}

// DefaultTimes returns the times that are used outside of tests.
func DefaultTimes() Times {
	return Times{wire.HeartbeatPeriod, wire.WorkerTimeout, wire.Lease, wire.KeptAge}
}
