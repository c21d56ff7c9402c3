package jet

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish publishes a message about a task without waiting for the servers'
// acknowledgment. When the acknowledgment arrives, OnAck or OnNack is called
// with the note of the message. The note says what the message is about: it is
// a call, the key of a task, or a value for cancellations. The note is not
// sent. If it were a header of the message, a fifth of all allocations of a
// task would be for this header.
//
// Publish stores the note before it publishes the message, so the note is
// stored when the acknowledgment arrives.

// RetryDelay is the time between an error and the call of OnNack, which usually
// publishes the message again.
const RetryDelay = 100 * time.Millisecond

// Publish publishes a message about a task, and stores its note.
func (c *Conn) Publish(msg *nats.Msg, note any) {
	c.publishMu.Lock()
	c.pending[msg] = note
	c.publishMu.Unlock()
	if _, err := c.JS.PublishMsgAsync(msg); err != nil {
		c.nacked(msg, err)
	}
}

// nacked calls OnNack for a message that was not stored. It calls OnNack on
// another goroutine: package nats may hold a lock while it calls nacked, and
// OnNack may publish a message, which needs this lock.
func (c *Conn) nacked(msg *nats.Msg, why error) {
	if note := c.TakeNote(msg); note != nil && c.OnNack != nil {
		time.AfterFunc(RetryDelay, func() { c.OnNack(msg, note, why) })
	}
}

// TakeNote removes and returns the note of a message. It returns nil if the
// message is not about a task.
func (c *Conn) TakeNote(msg *nats.Msg) any {
	c.publishMu.Lock()
	defer c.publishMu.Unlock()
	note := c.pending[msg]
	delete(c.pending, msg)
	return note
}

// publishOptions returns the options by which package jetstream reports
// acknowledgments and errors.
func (c *Conn) publishOptions() []jetstream.JetStreamOpt {
	return []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, msg *nats.Msg, ack *jetstream.PubAck) {
			if note := c.TakeNote(msg); note != nil && c.OnAck != nil {
				c.OnAck(msg, note, ack.Sequence)
			}
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, msg *nats.Msg, err error) { c.nacked(msg, err) }),
	}
}

// NewFake returns a Conn without servers, for tests. The test sets JS to a
// fake, which calls TakeNote for each message instead of acknowledging it.
func NewFake() *Conn { return &Conn{pending: map[*nats.Msg]any{}} }
