package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// enter makes sure that the key is for one of the roles.
func (l *link) enter(ctx context.Context, roles []string) error {
	w, err := l.knock(ctx, wire.Handshake{})
	if err != nil {
		return err
	}
	if !slices.Contains(roles, w.Role) {
		return fmt.Errorf("the key %s has the role %s; the role must be %s", l.file, w.Role, strings.Join(roles, " or "))
	}
	if w.Role != wire.AdminRole {
		return l.speak(wire.ClientAPI)
	}
	return nil
}

// knock asks the servers for what they do for who has a key.
func (l *link) knock(ctx context.Context, k wire.Handshake) (w wire.HandshakeReply, err error) {
	body, err := wire.Marshal(&k)
	if err != nil {
		return w, err
	}
	err = l.patiently(ctx, func(ctx context.Context) error {
		answer, err := l.nc.RequestWithContext(ctx, wire.HandshakeSubject(l.public), body)
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

// sessionConsumer returns the consumer by which a session gets its results,
// made if need be.
func (l *link) sessionConsumer(ctx context.Context, stream, client, session string) (c jetstream.Consumer, err error) {
	if l.key != nil {
		if _, err := l.knock(ctx, wire.Handshake{Session: session, Stream: stream}); err != nil {
			return nil, err
		}
	}
	err = l.patiently(ctx, func(ctx context.Context) error {
		if l.key != nil {
			c, err = l.js.Consumer(ctx, stream, session)
		} else {
			c, err = l.js.CreateConsumer(ctx, stream, wire.SessionConsumer(stream, client, session))
		}
		return err
	})
	return c, err
}

// taskConsumer makes the consumer by which the workers of a contract get their
// tasks, if need be, and returns when it was made.
func (l *link) taskConsumer(ctx context.Context, c *wire.CapabilitySet) (made time.Time, err error) {
	if l.key != nil {
		w, err := l.knock(ctx, wire.Handshake{Capabilities: c})
		return w.Created, err
	}
	consumer, err := l.js.CreateOrUpdateConsumer(ctx, wire.TaskStream, wire.TaskConsumer(c.Name(), lease))
	if err != nil {
		return made, err
	}
	return consumer.CachedInfo().Created, nil
}

// replayConsumer makes a consumer that reads all cancellations, and returns its
// name.
func (l *link) replayConsumer(ctx context.Context) (name string, err error) {
	if l.key != nil {
		w, err := l.knock(ctx, wire.Handshake{Cancels: true})
		return w.Consumer, err
	}
	c, err := l.js.CreateConsumer(ctx, wire.CancelStream, wire.CancelConsumer())
	if err != nil {
		return "", err
	}
	return c.CachedInfo().Name, nil
}

// askResend asks the servers to send a kept result to a session, and reports
// whether there is one.
func (l *link) askResend(ctx context.Context, r wire.ResendRequest) (found bool, err error) {
	body, err := wire.Marshal(&r)
	if err != nil {
		return false, err
	}
	once, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	answer, err := l.nc.RequestWithContext(once, wire.ResendSubject(l.public), body)
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

// audit asks the servers what they have of tasks of a client.
func (l *link) audit(ctx context.Context, a *wire.Audit, client string) ([]wire.State, error) {
	if l.key == nil {
		return a.Find(ctx, l.js, client)
	}
	w, err := l.knock(ctx, wire.Handshake{Audit: a})
	return w.States, err
}
