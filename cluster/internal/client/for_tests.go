package client

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// Only tests of package cluster use the methods in this file.

// Sent returns the number of calls that were sent, or are about to be sent.
func (e *Executor) Sent() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(e.lastCall)
}

// Subscribers returns the number of Submits, and of inputs of a Map, that
// wait for sent calls.
func (e *Executor) Subscribers() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.unsettled
}

// WaitingIDs returns the number of queued Submits with ids.
func (e *Executor) WaitingIDs() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.callNumbers)
}

// Canceled returns the number of sent calls that are canceled.
func (e *Executor) Canceled() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		if c.canceled {
			n++
		}
	}
	return n
}

// Uploading returns the number of Submits that upload their large arguments,
// or have uploaded them.
func (e *Executor) Uploading() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		for _, s := range c.subscribers {
			if s.ctx != nil {
				n++
			}
		}
	}
	return n
}

// Cancellations returns the cancellations that the executor would publish to
// cancel all sent calls.
func (e *Executor) Cancellations() (client string, bodies [][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		_, body := wire.Cancellation(e.client, e.session, c.try)
		bodies = append(bodies, body)
	}
	return e.client, bodies
}

// Queued returns the number of calls that the servers have acknowledged.
func (e *Executor) Queued() (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.calls {
		if c.sequence > 0 {
			n++
		}
	}
	return n
}

// Audit audits the calls that will be due after d.
func (e *Executor) Audit(d time.Duration) error {
	_, err := e.auditDue(time.Now().Add(d), wire.MaxAudited)
	return err
}

// Conn returns the connection.
func (e *Executor) Conn() *jet.Conn { return e.conn }

// Session returns the name of the session.
func (e *Executor) Session() string { return e.session }

// LoseCancellation handles a cancellation as if the servers had not stored it.
func (e *Executor) LoseCancellation(session, try string) {
	subject, body := wire.Cancellation(e.client, session, try)
	e.nacked(&nats.Msg{Subject: subject, Data: body}, cancellation{}, errors.New("the connection was lost"))
}
