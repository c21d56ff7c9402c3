package server

import (
	"context"
	"errors"
	"fmt"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

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

// resend sends the kept result of a task with an id to a session of its client.
// It reports whether there is such a result.
func (d *service) resend(body []byte) (bool, error) {
	var r wire.ResendRequest
	if err := wire.Unmarshal(body, &r); err != nil {
		return false, fmt.Errorf("the request cannot be decoded: %w", err)
	}
	if !wire.ValidToken(r.Client) || !wire.ValidToken(r.Number) || !wire.ValidToken(r.Session) {
		return false, errors.New("invalid id of a task")
	}
	ctx, cancel := context.WithTimeout(d.server.ctx, requestTimeout)
	defer cancel()
	id := wire.TaskID{Client: r.Client, Number: r.Number}
	kept, err := d.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+wire.KeptStream+"."+wire.ResultSubject(id), nil)
	if err != nil {
		return false, err
	}
	if len(kept.Data) == 0 && kept.Header.Get(jetstream.SubjectHeader) != "" {
		return false, errors.New("the kept result is empty") // the client would treat an empty message as the end of its request for results
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
