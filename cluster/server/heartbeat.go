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

// taskConsumer stores a capability set, and creates its consumer if it is
// missing. The name of both is the digest of the set, so an existing one with
// this name has the same content.
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

// onHeartbeat stores a heartbeat of a worker under the worker's key, without
// the headers of the message. An empty message removes the worker. onHeartbeat
// sends the reply of the stream to the worker.
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

// onResend serves a ResendRequest.
func (d *service) onResend(m *client.Msg) {
	var said wire.ResendReply
	var err error
	if said.Found, err = d.resend(m.Data); err != nil {
		said.Error = err.Error()
	}
	if body, err := wire.Marshal(&said); err == nil {
		m.Respond(body)
	}
}

const codeMaxPerSubject = 10077 // of NATS: maximum messages per subject exceeded

// resend sends the kept result of an id of a client to a session of this
// client. It reports whether there is one.
func (d *service) resend(body []byte) (bool, error) {
	var r wire.ResendRequest
	if err := wire.Unmarshal(body, &r); err != nil {
		return false, fmt.Errorf("unknown request: %w", err)
	}
	if !wire.ValidToken(r.Client) || !wire.ValidToken(r.Number) || !wire.ValidToken(r.Session) {
		return false, errors.New("invalid id of a task")
	}
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	id := wire.TaskID{Client: r.Client, Number: r.Number}
	kept, err := d.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+wire.KeptStream+"."+wire.ResultSubject(id), nil)
	if err != nil {
		return false, err
	}
	if len(kept.Data) == 0 && kept.Header.Get(jetstream.SubjectHeader) != "" {
		return false, errors.New("the kept result is empty") // an empty message would end the session's request for results
	}
	if kept.Header.Get(jetstream.SubjectHeader) == "" { // only a message of the stream has this header
		if status := kept.Header.Get("Status"); status != "404" {
			return false, fmt.Errorf("%s: %s %s", wire.ResultSubject(id), status, kept.Header.Get("Description"))
		}
		return false, nil
	}
	id.Session = r.Session
	_, err = d.js.Publish(ctx, wire.ResultSubject(id), kept.Data)
	var refused *jetstream.APIError
	if errors.As(err, &refused) && refused.ErrorCode == codeMaxPerSubject {
		err = nil
	}
	return err == nil, err
}
