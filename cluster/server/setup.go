package server

import (
	"context"
	"fmt"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
)

const (
	setupPause     = 200 * time.Millisecond // pause between two attempts
	maxAttemptTime = 20 * time.Second       // maximum time of one attempt
)

// Setup creates the streams and buckets of a cluster with the given number of
// replicas. It waits until enough servers have joined, or ctx ends.
func (s *Server) Setup(ctx context.Context, replicas int) error {
	nc, err := s.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for timeout := time.Second; ; timeout = min(2*timeout, maxAttemptTime) { // without a leader, requests get no answer
		once, cancel := context.WithTimeout(ctx, timeout)
		err := wire.Setup(once, js, replicas, wire.WorkerTimeout)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-time.After(setupPause):
		case <-ctx.Done():
			return fmt.Errorf("server: setting up: %w", err)
		}
	}
}

// connect returns a connection of the server to itself.
func (s *Server) connect(opts ...client.Option) (*client.Conn, error) {
	opts = append(opts, client.InProcessServer(s), client.Name("concert server"))
	if s.issuer != nil {
		key, err := nkeys.FromSeed(s.issuer.seed)
		if err != nil {
			return nil, fmt.Errorf("server: %w", err)
		}
		opts = append(opts, client.Nkey(s.issuer.public, key.Sign))
	}
	nc, err := client.Connect("", opts...)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	return nc, nil
}
