package jet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// EnsureSetup creates missing streams and buckets, with the number of replicas
// that the existing streams have. If the servers require keys, they create the
// streams themselves, and EnsureSetup only checks that the key has one of the
// roles.
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
// require keys, EnsureSetupAgain does nothing, because the servers create the
// streams and buckets themselves.
func (c *Conn) EnsureSetupAgain(ctx context.Context) error {
	if c.key != nil {
		return nil
	}
	return c.EnsureSetup(ctx)
}

// Setup creates the streams and buckets, or updates their configuration.
func (c *Conn) Setup(ctx context.Context, replicas int) error {
	if err := wire.Setup(ctx, c.JS, replicas, c.Times.WorkerTimeout); err != nil {
		return fmt.Errorf("cluster: setting up the streams: %w", err)
	}
	return nil
}

// checkRole returns an error unless the key has one of the roles.
func (c *Conn) checkRole(ctx context.Context, roles []string) error {
	w, err := c.handshake(ctx, wire.Handshake{})
	if err != nil {
		return err
	}
	if !slices.Contains(roles, w.Role) {
		return fmt.Errorf("the key %s has the role %s; the role must be %s: make such a key with 'concertd key --out FILE %s NAME'", c.keyFile, w.Role, strings.Join(roles, " or "), roles[0])
	}
	if w.Role != wire.AdminRole {
		return c.useAPI(wire.ClientAPI)
	}
	return nil
}

// handshake sends a Handshake, and returns the reply of the servers.
func (c *Conn) handshake(ctx context.Context, k wire.Handshake) (w wire.HandshakeReply, err error) {
	body, err := wire.Marshal(&k)
	if err != nil {
		return w, err
	}
	err = c.RetryUntilDeadline(ctx, func(ctx context.Context) error {
		answer, err := c.NC.RequestWithContext(ctx, wire.HandshakeSubject(c.Public), body)
		if err != nil {
			return err
		}
		w = wire.HandshakeReply{}
		if err := wire.Unmarshal(answer.Data, &w); err != nil {
			return err
		}
		if w.Error != "" && w.Transient {
			return fmt.Errorf("the servers: %w: %s", wire.ErrTransient, w.Error)
		}
		if w.Error != "" {
			return fmt.Errorf("the servers: %s", w.Error)
		}
		return nil
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return w, fmt.Errorf("no server reports the role of the key: are the servers concertd? %w", err)
	}
	return w, err
}

// Names returns the names of the holders of public keys. It omits keys that the
// servers do not know. Without a key of an admin, it returns no names.
func (c *Conn) Names(ctx context.Context, keys []string) (map[string]string, error) {
	names := map[string]string{}
	if c.key == nil {
		return names, nil
	}
	for some := range slices.Chunk(keys, wire.MaxNames) {
		w, err := c.handshake(ctx, wire.Handshake{Names: some})
		if err != nil {
			return nil, err
		}
		maps.Copy(names, w.Names)
	}
	return names, nil
}

// SessionConsumer returns the consumer by which a session receives its results.
// It creates a missing consumer.
func (c *Conn) SessionConsumer(ctx context.Context, stream, client, session string) (consumer jetstream.Consumer, err error) {
	if c.key != nil {
		if _, err := c.handshake(ctx, wire.Handshake{Session: session, Stream: stream}); err != nil {
			return nil, err
		}
	}
	err = c.RetryUntilDeadline(ctx, func(ctx context.Context) error {
		if c.key != nil {
			consumer, err = c.JS.Consumer(ctx, stream, session)
		} else {
			consumer, err = c.JS.CreateConsumer(ctx, stream, wire.SessionConsumer(stream, client, session))
		}
		return err
	})
	return consumer, err
}

// TaskConsumer creates the consumer by which the workers of a capability set
// receive their tasks, if the consumer is missing. The result is the time at
// which the consumer was created, by the servers' clock.
func (c *Conn) TaskConsumer(ctx context.Context, set *wire.CapabilitySet) (created time.Time, err error) {
	if c.key != nil {
		w, err := c.handshake(ctx, wire.Handshake{Capabilities: set})
		return w.Created, err
	}
	consumer, err := c.JS.CreateOrUpdateConsumer(ctx, wire.TaskStream, wire.TaskConsumer(set.Name(), c.Times.Lease))
	if err != nil {
		return created, err
	}
	return consumer.CachedInfo().Created, nil
}

// cancelConsumer creates a consumer that reads all cancellations, and returns
// its name.
func (c *Conn) cancelConsumer(ctx context.Context) (name string, err error) {
	if c.key != nil {
		w, err := c.handshake(ctx, wire.Handshake{Cancels: true})
		return w.Consumer, err
	}
	consumer, err := c.JS.CreateConsumer(ctx, wire.CancelStream, wire.CancelConsumer())
	if err != nil {
		return "", err
	}
	return consumer.CachedInfo().Name, nil
}

// Resend asks the servers to send a kept result to a session. It reports
// whether there is such a result.
func (c *Conn) Resend(ctx context.Context, r wire.ResendRequest) (found bool, err error) {
	body, err := wire.Marshal(&r)
	if err != nil {
		return false, err
	}
	once, cancel := context.WithTimeout(ctx, RequestTimeout)
	defer cancel()
	answer, err := c.NC.RequestWithContext(once, wire.ResendSubject(c.Public), body)
	if err != nil {
		return false, err
	}
	var said wire.ResendReply
	if err := wire.Unmarshal(answer.Data, &said); err != nil {
		return false, err
	}
	if said.Error != "" {
		return false, fmt.Errorf("the servers: %s", said.Error)
	}
	return said.Found, nil
}

// Audit returns the states of tasks of a client, in the order in which the
// argument lists the tasks.
func (c *Conn) Audit(ctx context.Context, a *wire.Audit, client string) ([]wire.State, error) {
	if c.key == nil {
		return a.Find(ctx, c.JS, client)
	}
	w, err := c.handshake(ctx, wire.Handshake{Audit: a})
	return w.States, err
}
