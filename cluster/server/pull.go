package server

import (
	client "github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// onPull sends a Pull of the worker with a key to a consumer. The messages go
// to this worker only. If there is no such consumer, the worker receives
// nothing.
func (d *service) onPull(key string, m *client.Msg) {
	var p wire.Pull
	if wire.Unmarshal(m.Data, &p) != nil || p.Stream != wire.TaskStream && p.Stream != wire.CancelStream {
		return
	}
	if !wire.ValidToken(p.Consumer) || !wire.ValidToken(p.Inbox) {
		return
	}
	if body, err := p.Request(); err == nil {
		d.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+p.Stream+"."+p.Consumer, wire.DeliverSubject(key, p.Inbox), body)
	}
}
