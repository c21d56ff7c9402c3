package server

import (
	"context"

	client "github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"concert/cluster/internal/wire"
)

// Clients do not write to the stream of cancellations themselves. All of them would
// share the queue of that stream, and one that invents cancellations would have
// those of others be dropped there, and flood all workers. So a server takes them
// from a queue for each key, and stores them no faster than this.
const (
	withdrawals    = 32   // of one key that are being stored
	withdrawalRate = 2000 // of one key in a second, when there are more than CancelsKept
)

// noCancellation is the answer to a message that is none, in the form of the
// answers of streams. Headers would tell the stream what to do.
const noCancellation = `{"error": {"code": 400, "description": "a cancellation is short, and has no headers"}}`

// importHeader is the header that servers add to a message that comes from another
// account by a service import.
const importHeader = "Nats-Request-Info"

// withdrawing returns the handler of the cancellations of a key.
func (d *door) withdrawing(key string) client.MsgHandler {
	slots := make(chan struct{}, withdrawals)
	limit := rate.NewLimiter(withdrawalRate, wire.CancelsKept)
	return func(m *client.Msg) {
		m.Header.Del(importHeader)
		if len(m.Data) > wire.LongestCancel || len(m.Header) > 0 { // it is none
			if m.Reply != "" {
				m.Respond([]byte(noCancellation))
			}
			return
		}
		limit.Wait(context.Background())
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			d.withdrawn(key, m)
		}()
	}
}

// withdrawn stores a cancellation, without headers of the client's. The answer is
// the stream's.
func (d *door) withdrawn(key string, m *client.Msg) {
	answer, err := d.nc.Request(wire.CancelPrefix+"."+key, m.Data, doorTime)
	if err == nil && m.Reply != "" {
		m.Respond(answer.Data)
	}
}
