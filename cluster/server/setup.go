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
	setupPause     = 200 * time.Millisecond // between two attempts
	maxAttemptTime = 20 * time.Second       // with one
)

// Setup makes the streams that a cluster consists of, with so many replicas
// each, and waits until they are there, or ctx ends: as long as not enough
// servers have joined, they cannot be made.
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
	for patience := time.Second; ; patience = min(2*patience, maxAttemptTime) { // nobody answers what is asked while nobody leads
		once, cancel := context.WithTimeout(ctx, patience)
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

// connect connects the server to itself.
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
