package cluster

import (
	"context"
	"fmt"
	"time"

	"concert/cluster/internal/wire"
)

// How often workers say that they are there, and after what time one that does
// not is taken to be gone.
var (
	heartbeat = 3 * time.Second // tests have them shorter
	silence   = wire.WorkerTimeout
)

// Setup creates the streams of a cluster, or changes them as necessary, with
// the given number of replicas: 1, or 3 if there are at least three joined
// servers. concertd does this itself, and so do Dial and Serve, with one
// replica, if the servers require no keys. So Setup is for operators of other
// NATS servers.
func Setup(ctx context.Context, url string, replicas int, access *Access) error {
	if access == nil {
		access = &Access{}
	}
	l := &link{}
	if err := access.connect(ctx, url, "concert setup", l); err != nil {
		return err
	}
	defer l.close()
	return l.patiently(ctx, func(ctx context.Context) error { return l.setup(ctx, replicas) })
}

// ensure sets up what is not there, with as many replicas as there is a part
// with already. Where servers ask for keys they do it themselves; then it makes
// sure that the key is for one of the roles, of which the first is what it
// takes.
func (l *link) ensure(ctx context.Context, roles ...string) error {
	if l.key != nil {
		return l.enter(ctx, roles)
	}
	return l.patiently(ctx, func(ctx context.Context) error {
		if there, err := wire.IsSetUp(ctx, l.js); there || err != nil {
			return err
		}
		replicas, err := wire.Replicas(ctx, l.js)
		if err != nil {
			return err
		}
		return l.setup(ctx, replicas)
	})
}

// ensureAgain sets up what is not there any more. Where servers ask for keys
// they do it, and who has come in once need not again.
func (l *link) ensureAgain(ctx context.Context) error {
	if l.key != nil {
		return nil
	}
	return l.ensure(ctx)
}

// setup is Setup on a connection.
func (l *link) setup(ctx context.Context, replicas int) error {
	if err := wire.Setup(ctx, l.js, replicas, silence); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return nil
}
