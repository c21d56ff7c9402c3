package server

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"
)

const (
	requestTimeout = 4 * time.Second  // timeout of one request; a client or worker sends it again after five seconds
	recordPeriod   = 10 * time.Second // time between two log records about the same flood
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
	server     *Server
	nc         *client.Conn
	js         jetstream.JetStream
	handshakes chan struct{} // the capacity is the maximum number of concurrent handshakes

	mu        sync.Mutex
	sessions  map[string]map[session]bool // guarded by mu: see consumer_limit.go
	recounted map[string]time.Time        // guarded by mu: when the sessions of a key were last counted again

	queues map[string]*keyQueue // by key; used by startService, and then by watchKeyring only
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
		server: s, nc: nc, handshakes: make(chan struct{}, maxHandshakes),
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

func (d *service) close() { d.nc.Close() }
