package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"concert/cluster/internal/wire"
)

const (
	requestTimeout    = 4 * time.Second // timeout of one request; the holder of the key repeats it after five seconds
	maxRequests       = 64              // maximum number of concurrent requests
	maxRequestsPerKey = 2               // maximum number of concurrent requests of one key
	maxResends        = 16              // maximum number of concurrent resend requests of one key
	maxHeartbeats     = 64              // maximum number of heartbeats of one key that are being stored; further heartbeats are dropped
	queueLimit        = 4096            // maximum number of waiting messages of a key to one subject; further messages are dropped, and their senders repeat them
	queueBytes        = 16 << 20        // maximum total size of these messages

	recordPeriod = 10 * time.Second // time between two log records about the same flood
)

// service serves the holders of keys. It reports the role of a key, and creates
// the consumers of clients and workers. It stores the functions and heartbeats
// of workers, and the cancellations of clients. It sends kept results to
// sessions.
//
// Each key has its own subscriptions, and so its own queues. If the messages of
// a key arrive faster than the server handles them, they fill only the queues
// of this key. These messages affect other keys only by the CPU time that they
// need.
type service struct {
	server *Server
	nc     *client.Conn
	js     jetstream.JetStream
	slots  chan struct{} // limits the number of concurrent requests to its capacity

	mu        sync.Mutex
	sessions  map[string]map[session]bool // guarded by mu: see consumer_limit.go
	recounted map[string]time.Time        // guarded by mu: when the sessions of a key were last counted again

	queues map[string]*keyQueue // by key; used by startService, and then by watchKeyring only
}

// keyQueue is the state of a key in a server.
type keyQueue struct {
	role                            Role
	handshakes, resends, heartbeats chan struct{} // limit the numbers of concurrent requests to their capacities
	subs                            []*client.Subscription
}

// startService starts to serve the holders of keys. If there are several
// servers, each request is served by one of them.
func (s *Server) startService(holders []Holder) (*service, error) {
	var logged sync.Map // *rate.Sometimes by subject: limits the log records of a flood
	nc, err := s.connect(client.MaxReconnects(-1), client.ErrorHandler(func(_ *client.Conn, sub *client.Subscription, err error) {
		if sub != nil && errors.Is(err, client.ErrSlowConsumer) {
			seldom, _ := logged.LoadOrStore(sub.Subject, &rate.Sometimes{First: 1, Interval: recordPeriod})
			seldom.(*rate.Sometimes).Do(func() {
				slog.Warn("server: dropping messages of a key: they arrive faster than the server handles them", "subject", sub.Subject)
			})
			return
		}
		slog.Warn("server: an error of the server's own connection", "error", err)
	}))
	if err != nil {
		return nil, err
	}
	d := &service{
		server: s, nc: nc, slots: make(chan struct{}, maxRequests),
		sessions: map[string]map[session]bool{}, recounted: map[string]time.Time{}, queues: map[string]*keyQueue{},
	}
	d.js, err = jetstream.New(nc)
	if err == nil {
		err = d.setHolders(holders)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("server: %w", err)
	}
	return d, nil
}

// setHolders makes the service serve these holders of keys, and no others.
func (d *service) setHolders(holders []Holder) error {
	here := map[string]bool{}
	for _, h := range holders {
		here[h.Key] = true
		if before := d.queues[h.Key]; before != nil {
			if before.role == h.Role {
				continue
			}
			before.close()
			delete(d.queues, h.Key)
		}
		q, err := d.openQueue(h)
		if err != nil {
			return err
		}
		d.queues[h.Key] = q
	}
	for key, q := range d.queues {
		if !here[key] {
			q.close()
			delete(d.queues, key)
		}
	}
	return d.nc.Flush()
}

// openQueue subscribes to the requests of the holder of a key.
func (d *service) openQueue(h Holder) (*keyQueue, error) {
	q := &keyQueue{role: h.Role, handshakes: make(chan struct{}, maxRequestsPerKey), resends: make(chan struct{}, maxResends), heartbeats: make(chan struct{}, maxHeartbeats)}
	takes := map[string]client.MsgHandler{
		wire.HandshakeSubject(h.Key): concurrently(q.handshakes, func(m *client.Msg) { d.onHandshake(h.Key, m) }),
	}
	limits := map[string]int{}
	if h.Role != Worker {
		subject := wire.CancelRequestSubject(h.Key)
		takes[subject] = d.cancelHandler(h.Key)
		limits[subject] = wire.MaxCancels // the stream does not store more
	}
	if h.Role != Client {
		takes[wire.HeartbeatSubject(h.Key+".*")] = func(m *client.Msg) { d.onHeartbeat(q, m) }
		takes[wire.HintRelaySubject("*", "*", h.Key)] = d.onHint
		takes[wire.ResendSubject(h.Key)] = concurrently(q.resends, d.onResend)
		takes[wire.PullSubject(h.Key)] = func(m *client.Msg) { d.onPull(h.Key, m) }
	}
	for subject, take := range takes {
		sub, err := d.nc.QueueSubscribe(subject, "servers", take)
		if err == nil {
			q.subs = append(q.subs, sub)
			err = sub.SetPendingLimits(max(queueLimit, limits[subject]), queueBytes)
		}
		if err != nil {
			q.close()
			return nil, err
		}
	}
	return q, nil
}

// close ends the subscriptions of a queue.
func (q *keyQueue) close() {
	for _, sub := range q.subs {
		sub.Unsubscribe()
	}
}

// concurrently returns a handler that serves each request on a goroutine. The
// capacity of the channel slots is the maximum number of goroutines. Further
// requests wait in the subscription's queue.
func concurrently(slots chan struct{}, serve func(m *client.Msg)) client.MsgHandler {
	return func(m *client.Msg) {
		if m.Reply == "" {
			return
		}
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			serve(m)
		}()
	}
}

// onHandshake serves a Handshake of the holder of a key. Only this holder can
// publish to the subject: see accounts.go.
func (d *service) onHandshake(key string, m *client.Msg) {
	d.slots <- struct{}{}
	defer func() { <-d.slots }()
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

func (d *service) close() { d.nc.Close() }
