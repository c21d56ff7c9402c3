package cluster

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message about a task is published without waiting for the servers'
// acknowledgment. When this arrives, acked or failed is called with the note of
// the message: the call, the key of a task, or that it is a cancellation. The
// note is not sent. A header for it would cost a fifth of all allocations of a
// task, because both sides build headers as maps.
//
// Steps: 1. post stores the note, 2. it publishes the message, 3. the
// acknowledgment removes the note. So no acknowledgment arrives before its note
// is stored.

// postAgain is the delay between an error and the call of failed. Most callers
// publish the message again then.
const postAgain = 100 * time.Millisecond

// postTime is how long to wait for an acknowledgment.
var postTime = stepTime // shorter in a test

// post publishes a message about a task.
func (l *link) post(msg *nats.Msg, note any) {
	l.posting.Lock()
	l.posted[msg] = note
	l.posting.Unlock()
	if _, err := l.js.PublishMsgAsync(msg); err != nil {
		l.unposted(msg, err)
	}
}

// unposted has failed called for a message that was not stored. It uses another
// goroutine, because the caller may be the library, which holds a lock that
// publishing needs.
func (l *link) unposted(msg *nats.Msg, why error) {
	if note := l.about(msg); note != nil && l.failed != nil {
		time.AfterFunc(postAgain, func() { l.failed(msg, note, why) })
	}
}

// about removes and returns the note of a message. It returns nil if the
// message is not about a task.
func (l *link) about(msg *nats.Msg) any {
	l.posting.Lock()
	defer l.posting.Unlock()
	note := l.posted[msg]
	delete(l.posted, msg)
	return note
}

// watchPostings returns the options that pass acknowledgments and errors to
// acked and failed.
func (l *link) watchPostings() []jetstream.JetStreamOpt {
	return []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, msg *nats.Msg, ack *jetstream.PubAck) {
			if note := l.about(msg); note != nil && l.acked != nil {
				l.acked(msg, note, ack.Sequence)
			}
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, msg *nats.Msg, err error) { l.unposted(msg, err) }),
	}
}
