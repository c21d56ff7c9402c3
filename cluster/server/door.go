package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

const (
	doorTime = 4 * time.Second // for what somebody who knocks asks for; it asks again after five
	atDoor   = 64              // that are served at a time; the others wait
	byKey    = 2               // of these, of one key; its others are told to come later
)

// door is what a server does for the holders of keys: it says what a key is for, makes the consumers of clients and workers, stores what workers say of
// themselves, and sends kept results to sessions.
type door struct {
	server  *Server
	nc      *client.Conn
	js      jetstream.JetStream
	places  chan struct{}
	resends chan struct{} // has room for the requests to resend that are served concurrently
	adverts chan struct{} // and for the adverts that are being stored

	mu        sync.Mutex
	sessions  map[string]map[session]bool // guarded by mu: see session.go
	recounted map[string]time.Time        // guarded by mu: when those of a key were counted anew
	served    map[string]int              // guarded by mu: how many are, by key
}

// openDoor serves those who knock, one server of all each.
func (s *Server) openDoor() (*door, error) {
	nc, err := s.connect(client.MaxReconnects(-1))
	if err != nil {
		return nil, err
	}
	d := &door{server: s, nc: nc, places: make(chan struct{}, atDoor), resends: make(chan struct{}, atDoor), adverts: make(chan struct{}, advertsAtOnce), sessions: map[string]map[session]bool{}, recounted: map[string]time.Time{}, served: map[string]int{}}
	d.js, err = jetstream.New(nc)
	for subject, take := range map[string]client.MsgHandler{
		wire.DoorSubject("*"): d.knocked, wire.AdvertSubject("*.*"): d.advertised, wire.ResendSubject("*"): d.asked, wire.ReportSubject("*", "*", "*"): d.reported,
	} {
		if err == nil {
			_, err = nc.QueueSubscribe(subject, "servers", take)
		}
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("server: %w", err)
	}
	return d, nil
}

// knocked takes those who knock, one after the other. Who that is is in the subject, and only the holder of that key can publish to it: see accounts.go. Somebody
// who knocks without end must not keep others waiting, so there are only so many of one key inside.
func (d *door) knocked(m *client.Msg) {
	if m.Reply == "" {
		return
	}
	key := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
	if !d.enter(key) {
		d.answer(m, wire.Welcome{}, errBusy)
		return
	}
	d.places <- struct{}{}
	go func() {
		defer func() {
			<-d.places
			d.leave(key)
		}()
		w, err := d.welcome(key, m.Data)
		d.answer(m, w, err)
	}()
}

// errBusy is what more are told than are served of a key.
var errBusy = fmt.Errorf("%w: others with this key are at the door", wire.ErrLater)

func (d *door) enter(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.served[key] >= byKey {
		return false
	}
	d.served[key]++
	return true
}

func (d *door) leave(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.served[key]--; d.served[key] == 0 {
		delete(d.served, key)
	}
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

func (d *door) close() { d.nc.Close() }
