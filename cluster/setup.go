package cluster

import "context"

// Setup creates the streams of a cluster, or changes them as necessary, with
// the given number of replicas: 1, or 3 if there are at least three joined
// servers. concertd does this itself, and so do Dial and Serve, with one
// replica, if the servers require no keys. So Setup is for operators of other
// NATS servers.
func Setup(ctx context.Context, url string, replicas int, access *Access) error {
	if access == nil {
		access = &Access{}
	}
	conn, err := access.connect(ctx, url, "concert setup")
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.RetryUntilDeadline(ctx, func(ctx context.Context) error { return conn.Setup(ctx, replicas) })
}
