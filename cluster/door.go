package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// enter makes sure that the key is for one of the roles.
func (l *link) enter(ctx context.Context, roles []string) error {
	w, err := l.knock(ctx, wire.Knock{})
	if err != nil {
		return err
	}
	if !slices.Contains(roles, w.Role) {
		return fmt.Errorf("%s has the role %s, and this takes %s", l.file, w.Role, strings.Join(roles, " or "))
	}
	if w.Role == wire.ClientRole {
		return l.speak(wire.ClientAPI)
	}
	return nil
}

// knock asks the servers for what they do for who has a key.
func (l *link) knock(ctx context.Context, k wire.Knock) (w wire.Welcome, err error) {
	body, err := wire.Marshal(&k)
	if err != nil {
		return w, err
	}
	err = l.patiently(ctx, func(ctx context.Context) error {
		answer, err := l.nc.RequestWithContext(ctx, wire.DoorSubject(l.public), body)
		if err != nil {
			return err
		}
		w = wire.Welcome{}
		if err := wire.Unmarshal(answer.Data, &w); err != nil {
			return err
		}
		if w.Error != "" && w.Later {
			return fmt.Errorf("the servers: %w: %s", wire.ErrLater, w.Error)
		}
		if w.Error != "" {
			return fmt.Errorf("the servers: %s", w.Error)
		}
		return nil
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return w, fmt.Errorf("nobody there says what the key is for: are the servers concertd? %w", err)
	}
	return w, err
}

// sessionConsumer returns the consumer by which a session gets its results, made if need be.
func (l *link) sessionConsumer(ctx context.Context, stream, client, session string) (c jetstream.Consumer, err error) {
	if l.key != nil {
		if _, err := l.knock(ctx, wire.Knock{Session: session, Stream: stream}); err != nil {
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
