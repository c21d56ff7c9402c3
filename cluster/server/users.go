package server

import (
	"context"
	"fmt"
	"os"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"concert/cluster/internal/wire"
)

// keyringPeriod is how often the keyring is looked at.
const keyringPeriod = 2 * time.Second

// state is by what it is seen that the holders have changed.
func (k *Keyring) state() (string, error) {
	info, err := os.Stat(k.path(holdersFile))
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size()), nil
}

// users are the holders, as the server knows them, and the server itself.
func (s *Server) users() ([]*nats.NkeyUser, error) {
	holders, err := s.options.Keyring.Holders()
	if err != nil {
		return nil, err
	}
	users := []*nats.NkeyUser{{Nkey: s.issuer.public}}
	for _, h := range holders {
		users = append(users, &nats.NkeyUser{Nkey: h.Key, Permissions: permissions(h)})
	}
	return users, nil
}

// permissions of a holder; nil means all.
func permissions(h Holder) *nats.Permissions {
	var r wire.Rights
	switch h.Role {
	case Client:
		r = wire.ClientRights(h.Key)
	case Worker:
		r = wire.WorkerRights(h.Key)
	default:
		return nil
	}
	return &nats.Permissions{Publish: &nats.SubjectPermission{Allow: r.Publish}, Subscribe: &nats.SubjectPermission{Allow: r.Subscribe}}
}

const (
	setupPause   = 200 * time.Millisecond // between two attempts
	mostPatience = 20 * time.Second       // with one
)

// Setup makes the streams that a cluster consists of, with so many replicas each, and waits until they are there, or ctx ends: as
// long as not enough servers have joined, they cannot be made.
func (s *Server) Setup(ctx context.Context, replicas int) error {
	opts := []client.Option{client.InProcessServer(s), client.Name("concert server")}
	if s.issuer != nil {
		key, err := nkeys.FromSeed(s.issuer.seed)
		if err != nil {
			return fmt.Errorf("server: %w", err)
		}
		opts = append(opts, client.Nkey(s.issuer.public, key.Sign))
	}
	nc, err := client.Connect("", opts...)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	for patience := time.Second; ; patience = min(2*patience, mostPatience) { // nobody answers what is asked while nobody leads
		once, cancel := context.WithTimeout(ctx, patience)
		err := wire.Setup(once, js, replicas, wire.Silence)
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
