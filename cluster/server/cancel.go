package server

import (
	"context"

	client "github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"concert/cluster/internal/wire"
)

// Clients do not publish to the stream of cancellations themselves, because
// all clients would share the queue of this stream. A client that sends many
// cancellations could fill the queue. Then the stream would drop
// cancellations of other clients. The client could also flood all workers.
// So a server has a queue for the cancellations of each key, and stores them
// at a limited rate.
const (
	maxConcurrentCancels = 32   // maximum number of cancellations of one key that are stored concurrently
	maxCancelRate        = 2000 // maximum number of cancellations of one key that are stored per second, after the first MaxCancels
)

// notCancelReply is the reply to a message that is not a cancellation, in the
// format of a stream's reply. A message with headers is refused, because some
// headers are instructions for the stream. An empty message is refused, because
// it would end the requests of workers for cancellations: see accounts.go.
const notCancelReply = `{"error": {"code": 400, "description": "not a cancellation: it names no submission, or has headers"}}`

// importHeader is the header that servers add to a message if it comes from
// another account through a service import.
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

// storeCancel stores a cancellation without the headers of the client's
// message, and sends the answer of the stream to the client.
func (d *service) storeCancel(key string, m *client.Msg) {
	answer, err := d.nc.Request(wire.CancelPrefix+"."+key, m.Data, requestTimeout)
	if err == nil && m.Reply != "" {
		m.Respond(answer.Data)
	}
}
