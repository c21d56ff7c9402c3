package cluster

import (
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A message about a task is published without waiting for the servers' word, which comes later: acked or failed are told then, with the key of
// the task. That key does not travel. A header for it would cost a fifth of all that is allocated for a task, as headers are maps, made on both sides.
//
// Steps: 1. the key is noted, 2. the message is published, 3. the word takes the note. So no word comes before the note.

// post publishes a message about a task. An error means that no word of it will come.
func (l *link) post(msg *nats.Msg, key string) error {
	l.posting.Lock()
	l.posted[msg] = key
	l.posting.Unlock()
	_, err := l.js.PublishMsgAsync(msg)
	if err != nil {
		l.about(msg)
	}
	return err
}

// about takes the note of what task a message is about: "" if it is about none.
func (l *link) about(msg *nats.Msg) string {
	l.posting.Lock()
	defer l.posting.Unlock()
	key := l.posted[msg]
	delete(l.posted, msg)
	return key
}

// watchPostings are the options by which the word of the servers comes here.
func (l *link) watchPostings() []jetstream.JetStreamOpt {
	return []jetstream.JetStreamOpt{
		jetstream.WithPublishAsyncAckHandler(func(_ jetstream.JetStream, msg *nats.Msg, _ *jetstream.PubAck) {
			if key := l.about(msg); key != "" && l.acked != nil {
				l.acked(msg, key)
			}
		}),
		jetstream.WithPublishAsyncErrHandler(func(_ jetstream.JetStream, msg *nats.Msg, err error) {
			if key := l.about(msg); key != "" && l.failed != nil {
				l.failed(msg, key, err)
			}
		}),
	}
}
