package cluster

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message about a task is published without waiting for the servers' word, which comes later: acked or failed are told then, with what was
// noted of it: the call, the key of a task, or that it is a cancellation. That does not travel. A header for it would cost a fifth of all that is allocated for a task, as headers are maps, made on both sides.
//
// Steps: 1. it is noted, 2. the message is published, 3. the word takes the note. So no word comes before the note.

// postAgain is after what time those who posted a message are told that it was not stored: most post it again then.
const postAgain = 100 * time.Millisecond

// postTime is how long the word is waited for.
var postTime = stepTime // a test has it shorter

// post publishes a message about a task.
func (l *link) post(msg *nats.Msg, note any) {
	l.posting.Lock()
	l.posted[msg] = note
	l.posting.Unlock()
	if _, err := l.js.PublishMsgAsync(msg); err != nil {
		l.unposted(msg, err)
	}
}

// unposted has it be told that a message was not stored; not by the caller, who may be the library with its lock, which it needs to publish.
func (l *link) unposted(msg *nats.Msg, why error) {
	if note := l.about(msg); note != nil && l.failed != nil {
		time.AfterFunc(postAgain, func() { l.failed(msg, note, why) })
	}
}

// about takes the note of what a message is about: nil if it is about no task.
func (l *link) about(msg *nats.Msg) any {
	l.posting.Lock()
	defer l.posting.Unlock()
	note := l.posted[msg]
	delete(l.posted, msg)
	return note
}

// watchPostings are the options by which the word of the servers comes here.
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
