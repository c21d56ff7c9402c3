package cluster

import (
	"github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// ask sends a request for messages to a consumer. They arrive in came, until
// sub is unsubscribed.
func (l *link) ask(stream, consumer string, r request, came chan *nats.Msg) (sub *nats.Subscription, err error) {
	p := wire.Pull{Stream: stream, Consumer: consumer, Batch: r.n, Bytes: r.bytes, Expires: r.lives, Inbox: wire.NewToken()}
	if l.asksServer() {
		body, err := wire.Marshal(&p)
		if err != nil {
			return nil, err
		}
		return l.askAt(wire.DeliverSubject(l.public, p.Inbox), came, func(string) error { return l.nc.Publish(wire.PullSubject(l.public), body) })
	}
	body, err := p.Request()
	if err != nil {
		return nil, err
	}
	return l.askAt(l.nc.NewInbox(), came, func(inbox string) error {
		return l.nc.PublishRequest(l.api+"CONSUMER.MSG.NEXT."+stream+"."+consumer, inbox, body)
	})
}

// askAt sends a request whose messages arrive at a subject.
func (l *link) askAt(subject string, came chan *nats.Msg, send func(subject string) error) (*nats.Subscription, error) {
	sub, err := l.nc.ChanSubscribe(subject, came)
	if err != nil {
		return nil, err
	}
	if err := send(subject); err != nil {
		sub.Unsubscribe()
		return nil, err
	}
	return sub, nil
}

// asksServer reports whether a server sends the requests of this link to
// consumers: see wire.Pull.
func (l *link) asksServer() bool { return l.api == wire.ClientAPI+"." }
