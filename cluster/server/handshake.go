package server

import (
	"context"
	"errors"
	"fmt"
	"slices"

	client "github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// onHandshake serves a Handshake of the holder of a key. Only this holder can
// publish to the subject: see accounts.go. The numbers of concurrent handshakes
// are limited: see request_limits.go.
func (d *service) onHandshake(key string, m *client.Msg) {
	d.handshakes <- struct{}{}
	defer func() { <-d.handshakes }()
	w, err := d.handshake(key, m.Data)
	d.answer(m, w, err)
}

// answer sends the reply to a Handshake.
func (d *service) answer(m *client.Msg, w wire.HandshakeReply, err error) {
	if err != nil {
		w.Error, w.Transient = err.Error(), wire.Transient(err)
	}
	if body, err := wire.Marshal(&w); err == nil {
		m.Respond(body)
	}
}

func (d *service) handshake(key string, body []byte) (w wire.HandshakeReply, err error) {
	var k wire.Handshake
	if err := wire.Unmarshal(body, &k); err != nil {
		return w, fmt.Errorf("the request cannot be decoded: %w", err)
	}
	holders, err := d.server.options.Keyring.Holders()
	if err != nil {
		return w, err
	}
	i := slices.IndexFunc(holders, func(h Holder) bool { return h.Key == key })
	if i < 0 {
		return w, fmt.Errorf("the keyring does not have the key %s", key)
	}
	role := holders[i].Role
	w.Role = string(role)
	ctx, cancel := context.WithTimeout(d.server.ctx, requestTimeout)
	defer cancel()
	switch {
	case k.Capabilities != nil || k.Cancels:
		if role == Client {
			return w, fmt.Errorf("the key has the role client, so it cannot run tasks: a worker needs a key with the role worker")
		}
		w.Consumer, w.Created, err = d.workerConsumer(ctx, key, &k)
		return w, err
	case k.Audit != nil:
		w.States, err = d.audit(ctx, key, role, k.Audit)
		return w, err
	case k.Names != nil:
		w.Names, err = names(holders, role, k.Names)
		return w, err
	case k.Session == "":
		return w, nil
	case role == Worker:
		return w, fmt.Errorf("the key has the role worker, so it cannot submit tasks: a client needs a key with the role client")
	case !wire.ValidToken(k.Session):
		return w, fmt.Errorf("invalid name of a session: %q", k.Session)
	case k.Stream != wire.ResultStream && k.Stream != wire.KeptStream:
		return w, fmt.Errorf("there are no results in %q", k.Stream)
	}
	_, err = d.createConsumer(ctx, key, session{k.Stream, k.Session}, wire.SessionConsumer(k.Stream, key, k.Session))
	return w, err
}

// names returns the names of the holders of keys. Only an admin may read them:
// a client cannot find out who the other clients are.
func names(holders []Holder, role Role, keys []string) (map[string]string, error) {
	if role != Admin {
		return nil, fmt.Errorf("the key has the role %s; only an admin may read the names of other keys", role)
	}
	if len(keys) > wire.MaxNames {
		return nil, fmt.Errorf("the names of %d keys were requested; the maximum is %d", len(keys), wire.MaxNames)
	}
	all := map[string]string{}
	for _, h := range holders {
		all[h.Key] = h.Name
	}
	found := map[string]string{}
	for _, k := range keys {
		if name, ok := all[k]; ok {
			found[k] = name
		}
	}
	return found, nil
}

// audit returns the states of tasks of a client. It finds only tasks and
// results of this client.
func (d *service) audit(ctx context.Context, key string, role Role, a *wire.Audit) ([]wire.State, error) {
	if role == Worker {
		return nil, errors.New("a worker's key has no tasks to audit")
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	return a.Find(ctx, d.js, key)
}
