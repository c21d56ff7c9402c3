package server

import (
	client "github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// The limits of the requests of keys, so that one key cannot occupy a server.
const (
	maxHandshakes       = 64       // maximum number of concurrent handshakes of all keys
	maxHandshakesPerKey = 2        // maximum number of concurrent handshakes of one key
	maxResends          = 16       // maximum number of concurrent resend requests of one key
	maxHeartbeats       = 64       // maximum number of heartbeats of one key that are being stored; further heartbeats are dropped
	queueLimit          = 4096     // maximum number of waiting messages of a key to one subject; further messages are dropped, and their senders repeat them
	queueBytes          = 16 << 20 // maximum total size of these messages
)

// keyQueue is the state of a key in a server.
type keyQueue struct {
	role                            Role
	handshakes, resends, heartbeats chan struct{} // the capacities are the maximum numbers of concurrent requests
	subs                            []*client.Subscription
}

// openQueue subscribes to the requests of the holder of a key.
func (d *service) openQueue(h Holder) (*keyQueue, error) {
	q := &keyQueue{role: h.Role, handshakes: make(chan struct{}, maxHandshakesPerKey), resends: make(chan struct{}, maxResends), heartbeats: make(chan struct{}, maxHeartbeats)}
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
