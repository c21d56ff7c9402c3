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
	doorTime   = 4 * time.Second // for one request; the holder of the key repeats it after five seconds
	atDoor     = 64              // requests that are served at a time
	byKey      = 2               // requests of one key that are served at a time
	resends    = 16              // requests to resend of one key that are served at a time
	adverts    = 64              // adverts of one key that are being stored; more are dropped, and repeated by the workers
	queueLimit = 4096            // messages of a key to a subject that wait; more are dropped, and asked again
	queueBytes = 16 << 20        // and their bytes

	recordPeriod = 10 * time.Second // between two log records of the same flood
)

// door is what a server does for the holders of keys: it says what a key is for, makes the consumers of clients and workers, stores what workers say of
// themselves and the cancellations of clients, and sends kept results to sessions.
//
// Each key has subscriptions, and so queues, of its own. A key whose messages come
// faster than they are served fills its own queues only: those of other keys are
// served as if it were not there, but for the processor.
type door struct {
	server *Server
	nc     *client.Conn
	js     jetstream.JetStream
	places chan struct{} // has room for those who knock and are served concurrently

	mu        sync.Mutex
	sessions  map[string]map[session]bool // guarded by mu: see session.go
	recounted map[string]time.Time        // guarded by mu: when those of a key were counted anew

	queues map[string]*queue // by key; used by openDoor, and then by followKeys only
}

// queue is what a server has for a key.
type queue struct {
	knocks, resends, adverts chan struct{} // have room for what is served concurrently
	subs                     []*client.Subscription
}

// openDoor serves the holders of keys, one server of all each.
func (s *Server) openDoor(holders []Holder) (*door, error) {
	var told sync.Map // *rate.Sometimes by subject: a flood is recorded once in a while
	nc, err := s.connect(client.MaxReconnects(-1), client.ErrorHandler(func(_ *client.Conn, sub *client.Subscription, err error) {
		if sub != nil && errors.Is(err, client.ErrSlowConsumer) {
			seldom, _ := told.LoadOrStore(sub.Subject, &rate.Sometimes{First: 1, Interval: recordPeriod})
			seldom.(*rate.Sometimes).Do(func() {
				slog.Warn("server: messages of a key are dropped: they come faster than they are served", "subject", sub.Subject)
			})
			return
		}
		slog.Warn("server: the server's own connection", "error", err)
	}))
	if err != nil {
		return nil, err
	}
	d := &door{
		server: s, nc: nc, places: make(chan struct{}, atDoor),
		sessions: map[string]map[session]bool{}, recounted: map[string]time.Time{}, queues: map[string]*queue{},
	}
	d.js, err = jetstream.New(nc)
	if err == nil {
		err = d.serve(holders)
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("server: %w", err)
	}
	return d, nil
}

// serve serves these holders of keys from now on, and no others.
func (d *door) serve(holders []Holder) error {
	here := map[string]bool{}
	for _, h := range holders {
		here[h.Key] = true
		if d.queues[h.Key] != nil {
			continue
		}
		q, err := d.open(h)
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

// open makes the queue of a key.
func (d *door) open(h Holder) (*queue, error) {
	q := &queue{knocks: make(chan struct{}, byKey), resends: make(chan struct{}, resends), adverts: make(chan struct{}, adverts)}
	takes := map[string]client.MsgHandler{
		wire.DoorSubject(h.Key): concurrently(q.knocks, func(m *client.Msg) { d.knocked(h.Key, m) }),
	}
	limits := map[string]int{}
	if h.Role != Worker {
		subject := wire.WithdrawSubject(h.Key)
		takes[subject] = d.withdrawing(h.Key)
		limits[subject] = wire.CancelsKept // more would be forgotten at once
	}
	if h.Role != Client {
		takes[wire.AdvertSubject(h.Key+".*")] = func(m *client.Msg) { d.advertised(q, m) }
		takes[wire.ReportSubject("*", "*", h.Key)] = d.reported
		takes[wire.ResendSubject(h.Key)] = concurrently(q.resends, d.asked)
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
func (q *queue) close() {
	for _, sub := range q.subs {
		sub.Unsubscribe()
	}
}

// concurrently returns a handler that serves requests on goroutines of their own,
// as many as slots has room for. Others wait in the subscription's queue.
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

// knocked serves the holder of a key, who has knocked. Only the holder of the key can publish to the subject: see accounts.go.
func (d *door) knocked(key string, m *client.Msg) {
	d.places <- struct{}{}
	defer func() { <-d.places }()
	w, err := d.welcome(key, m.Data)
	d.answer(m, w, err)
}

// answer answers one who knocks.
func (d *door) answer(m *client.Msg, w wire.Welcome, err error) {
	if err != nil {
		w.Error, w.Later = err.Error(), wire.Passing(err)
	}
	if body, err := wire.Marshal(&w); err == nil {
		m.Respond(body)
	}
}

func (d *door) welcome(key string, body []byte) (w wire.Welcome, err error) {
	var k wire.Knock
	if err := wire.Unmarshal(body, &k); err != nil {
		return w, fmt.Errorf("what was asked is not known here: %w", err)
	}
	holders, err := d.server.options.Keyring.Holders()
	if err != nil {
		return w, err
	}
	i := slices.IndexFunc(holders, func(h Holder) bool { return h.Key == key })
	if i < 0 {
		return w, fmt.Errorf("%s is nobody's key", key)
	}
	role := holders[i].Role
	w.Role = string(role)
	ctx, cancel := context.WithTimeout(context.Background(), doorTime)
	defer cancel()
	switch {
	case k.Contract != nil || k.Replay:
		if role == Client {
			return w, fmt.Errorf("a client takes no tasks")
		}
		w.Consumer, w.Made, err = d.workerConsumer(ctx, key, &k)
		return w, err
	case k.Audit != nil:
		w.States, err = d.audit(ctx, key, role, k.Audit)
		return w, err
	case k.Session == "":
		return w, nil
	case role == Worker:
		return w, fmt.Errorf("a worker has no session")
	case !wire.ValidToken(k.Session):
		return w, fmt.Errorf("a session cannot be called %q", k.Session)
	case k.Stream != wire.ResultStream && k.Stream != wire.KeptStream:
		return w, fmt.Errorf("there are no results in %q", k.Stream)
	}
	_, err = d.admit(ctx, key, session{k.Stream, k.Session}, wire.SessionConsumer(k.Stream, key, k.Session))
	return w, err
}

// audit says what the servers have of tasks of a key. It finds messages of that key
// only.
func (d *door) audit(ctx context.Context, key string, role Role, a *wire.Audit) ([]wire.State, error) {
	if role == Worker {
		return nil, errors.New("a worker has no tasks of its own")
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	return a.Find(ctx, d.js, key)
}

func (d *door) close() { d.nc.Close() }
