package server

import (
	"context"

	client "github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"concert/cluster/internal/wire"
)

// Clients do not publish to the stream of cancellations themselves, because
// they would share the queue of that stream. A client that invents
// cancellations would fill this queue, so that the stream drops those of other
// clients, and would flood all workers. So a server receives the cancellations
// of each key in a queue of its own, and stores them at a limited rate.
const (
	maxConcurrentCancels = 32   // cancellations of one key that are stored concurrently
	maxCancelRate        = 2000 // cancellations of one key that are stored per second, after the first MaxCancels
)

// notCancelReply is the reply to a message that is not a cancellation, in the
// format of a stream's reply. Headers are refused, because the stream would
// obey them. An empty message would be worse: without headers, NATS takes it
// for the end of the answer to a request from another account, so no worker
// could read the stream.
const notCancelReply = `{"error": {"code": 400, "description": "not a cancellation: it names no submission, or has headers"}}`

// importHeader is the header that servers add to a message that comes from
// another account by a service import.
const importHeader = "Nats-Request-Info"

// cancelHandler returns the handler of the cancellations of a key.
func (d *service) cancelHandler(key string) client.MsgHandler {
	slots := make(chan struct{}, maxConcurrentCancels)
	limit := rate.NewLimiter(maxCancelRate, wire.MaxCancels)
	return func(m *client.Msg) {
		m.Header.Del(importHeader)
		if _, ok := wire.CanceledKey(key, m.Data); !ok || len(m.Data) > wire.MaxCancelBytes || len(m.Header) > 0 {
			if m.Reply != "" {
				m.Respond([]byte(notCancelReply))
			}
			return
		}
		limit.Wait(context.Background())
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			d.storeCancel(key, m)
		}()
	}
}

// storeCancel stores a cancellation without the client's headers. It passes the
// answer of the stream to the client.
func (d *service) storeCancel(key string, m *client.Msg) {
	answer, err := d.nc.Request(wire.CancelPrefix+"."+key, m.Data, requestTimeout)
	if err == nil && m.Reply != "" {
		m.Respond(answer.Data)
	}
}
