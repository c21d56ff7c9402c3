package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// workerConsumer creates the consumer that a worker requests: the consumer of
// its capability set, or a new consumer of cancellations.
func (d *service) workerConsumer(ctx context.Context, key string, k *wire.Handshake) (name string, made time.Time, err error) {
	var c jetstream.Consumer
	if k.Capabilities != nil {
		c, err = d.taskConsumer(ctx, key, k.Capabilities)
	} else {
		config := wire.CancelConsumer()
		c, err = d.createConsumer(ctx, key, session{wire.CancelStream, config.Name}, config)
	}
	if err != nil {
		return "", time.Time{}, err
	}
	return c.CachedInfo().Name, c.CachedInfo().Created, nil
}

// taskConsumer stores a capability set, and creates its consumer if the
// consumer is missing. The digest of the set is the name of the stored set and
// of the consumer. So if the name exists already, it belongs to the same set.
func (d *service) taskConsumer(ctx context.Context, key string, set *wire.CapabilitySet) (jetstream.Consumer, error) {
	text, err := wire.Marshal(set)
	if err != nil {
		return nil, err
	}
	if len(text) > wire.MaxMessageBytes/2 {
		return nil, fmt.Errorf("the names of %d functions are too long together: %d bytes", len(set.Functions), len(text))
	}
	name := set.Name()
	c, err := d.createConsumer(ctx, key, session{wire.TaskStream, name}, wire.TaskConsumer(name, wire.Lease))
	if errors.Is(err, jetstream.ErrConsumerExists) { // an earlier version of the server has created it with another configuration
		c, err = d.js.UpdateConsumer(ctx, wire.TaskStream, wire.TaskConsumer(name, wire.Lease))
	}
	if err != nil {
		return nil, err
	}
	_, err = d.js.Publish(ctx, wire.BucketPrefix(wire.CapabilityBucket)+"."+name, text)
	return c, err
}

const maxHeartbeatBytes = 4 << 10

// onHeartbeat stores a heartbeat in WorkerBucket under the id of the worker,
// without the headers of the message. An empty message removes the worker. If
// the worker waits for a reply, it gets the reply of the bucket's stream.
func (d *service) onHeartbeat(q *keyQueue, m *client.Msg) {
	id := strings.TrimPrefix(m.Subject, wire.HeartbeatSubject(""))
	owner, name, _ := strings.Cut(id, ".")
	if !wire.ValidToken(owner) || !wire.ValidToken(name) || len(m.Data) > maxHeartbeatBytes {
		return
	}
	stored := &client.Msg{Subject: wire.BucketPrefix(wire.WorkerBucket) + "." + id, Data: m.Data}
	if len(m.Data) == 0 {
		stored.Header = wire.DeleteHeader()
	}
	select {
	case q.heartbeats <- struct{}{}:
	default:
		return
	}
	go func() {
		defer func() { <-q.heartbeats }()
		if answer, err := d.nc.RequestMsg(stored, requestTimeout); err == nil && m.Reply != "" {
			m.Respond(answer.Data)
		}
	}()
}

// onHint publishes a hint of a worker without the headers of the message.
func (d *service) onHint(m *client.Msg) {
	d.nc.Publish(wire.RelayedHint(m.Subject), m.Data)
}

// onPull sends a Pull of a worker to a consumer. The messages go only to the
// worker with this key. If the consumer does not exist, the worker receives
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
