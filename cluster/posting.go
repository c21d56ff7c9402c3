package cluster

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message about a task is published without waiting for the servers' word, which comes later: acked or failed are told then, with what was
// noted of it: the call, or the key of a task. That does not travel. A header for it would cost a fifth of all that is allocated for a task, as headers are maps, made on both sides.
//
// Steps: 1. it is noted, 2. the message is published, 3. the word takes the note. So no word comes before the note.

// post publishes a message about a task. An error means that no word of it will come.
func (l *link) post(msg *nats.Msg, note any) error {
	l.posting.Lock()
	l.posted[msg] = note
	l.posting.Unlock()
	_, err := l.js.PublishMsgAsync(msg)
	if err != nil {
		l.about(msg)
	}
	return err
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
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, msg *nats.Msg, _ *jetstream.PubAck) {
			if note := l.about(msg); note != nil && l.acked != nil {
				l.acked(msg, note)
			}
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, msg *nats.Msg, err error) {
			if note := l.about(msg); note != nil && l.failed != nil {
				l.failed(msg, note, err)
			}
		}),
	}
}
