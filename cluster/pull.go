package cluster

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/wire"
)

// What clients have stored is pulled by requests of our own, instead of the
// library's. That takes a message without content that has a header Status for
// the servers' word, and so it ends a request, or a consumer, by whatever a
// client writes there; and what a client writes may be no header at all. Here
// headers are not read: what has an acknowledgement subject as its reply is a
// message of the stream, and what has none is the servers' word, since nobody
// else can send to this inbox. See ADR-13 of NATS, "pull consumers".

// message is one of a stream, as a consumer has it.
type message struct {
	receipt
	msg  *nats.Msg
	meta *nats.MsgMetadata
}

// receipt is what the servers are told of a message by.
type receipt struct {
	link  *link
	era   int64 // in which it came
	reply string
}

// The words by which a message is acknowledged: see "Consumers" in the NATS
// documentation.
const (
	acknowledged = "+ACK"
	notNow       = "-NAK"
	inProgress   = "+WPI"
	neverAgain   = "+TERM"
)

// position is where a message is. It stays the same if the message comes again;
// the time tells it from one at that number of a stream that was made anew.
type position struct {
	seq  uint64
	time int64 // Unix, nanoseconds
}

func (m *message) position() position {
	return position{m.meta.Sequence.Stream, m.meta.Timestamp.UnixNano()}
}

func (m *message) subject() string { return m.msg.Subject }
func (m *message) data() []byte    { return m.msg.Data }

// drop removes the content of a message that only needs to be acknowledged.
// This saves memory.
func (m *message) drop() { m.msg.Data, m.msg.Header = nil, nil }

// size returns about how many bytes of memory the message takes.
func (m *message) size() int64 { return int64(m.msg.Size()) }

// say answers the servers. What does not get to them is known by the lease.
// Nothing is said of a message of an earlier era: the consumer was made anew
// since, perhaps with its stream, and the servers would take it for the message
// that has that number now.
func (r *receipt) say(word string) {
	if r.era == r.link.era.Load() {
		r.link.nc.Publish(r.reply, []byte(word))
	}
}

// again has the message come again after a delay.
func (r *receipt) again(delay time.Duration) {
	r.say(fmt.Sprintf(`%s {"delay": %d}`, notNow, delay.Nanoseconds()))
}

const ackPrefix = "$JS.ACK."

// wordTime is how long after a request's end the servers' word of it is waited
// for.
const wordTime = 2 * time.Second

// errGone is the servers' word that there is no such consumer.
var errGone = errors.New("cluster: the consumer is gone")

// request is what pull asks of a consumer.
type request struct {
	n     int           // maximum number of messages
	bytes int64         // maximum of their total size; 0 for no limit
	lives time.Duration // how long the servers wait for messages; 0 means that they send only stored ones
}

// pull asks a consumer for messages, and passes them to take as they arrive. It
// returns when the servers have ended the request and all messages that they
// sent for it have arrived. It returns an error if the servers did not end it
// in time, or if the connection was lost.
//
// Messages can arrive after the servers' word is overdue: this process or a
// server had no processor for seconds. Until a lease has passed, late is called
// with each of them, on another goroutine, as they would be held by no worker
// for that time. late may be nil, if the consumer is not used again.
func (l *link) pull(ctx context.Context, stream, consumer string, r request, take, late func(*message)) error {
	if !l.nc.IsConnected() { // a request that is sent as the connection comes back would be given up at that moment, and what it brings be held by nobody
		return nats.ErrDisconnected
	}
	lost, era := l.reconnected.wait(), l.era.Load()
	came := make(chan *nats.Msg, r.n+1) // and a status
	sub, err := l.ask(stream, consumer, r, came)
	if err != nil {
		return err
	}
	waits := false // for late messages
	defer func() {
		if !waits {
			sub.Unsubscribe()
		}
	}()
	overdue := time.NewTimer(r.lives + wordTime)
	defer overdue.Stop()
	left := messages{most: r.n}
	for left.come() {
		select {
		case m := <-came:
			if err := l.receive(m, &left, take); err != nil {
				return err
			}
		case <-overdue.C:
			if waits = late != nil; waits {
				l.background.Go(func() {
					defer sub.Unsubscribe()
					l.takeLate(ctx, lost, era, left, came, late)
				})
			}
			return nats.ErrTimeout
		case <-lost:
			return nats.ErrDisconnected
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return left.err
}

// messages counts the messages that are still to arrive for a request.
//
// A status can overtake messages. If a consumer has replicas, its server sends
// a message only after the other servers know of it, but sends a status at
// once. So a request is over when the status has arrived, and as many messages
// as it says were sent. If the client gave up the request earlier, a message
// that arrives later would be held by no worker until its lease ends.
type messages struct {
	most int   // how many are still to arrive if the request does not end
	rest int   // how many of those the servers will not send
	err  error // the error that the status reports; nil if the request is just over
}

// come reports whether messages, or a status, are still to arrive.
func (c *messages) come() bool { return c.most > c.rest }

// end records the status with which the servers end a request.
func (c *messages) end(m *nats.Msg) {
	c.rest, c.err = c.most, overBy(m)
	n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err == nil && n >= 0 {
		c.rest = min(c.rest, n)
	}
}

// receive passes a message of a stream to take. If m is a status, receive
// records it in left.
func (l *link) receive(m *nats.Msg, left *messages, take func(*message)) error {
	if !strings.HasPrefix(m.Reply, ackPrefix) {
		left.end(m)
		return nil
	}
	left.most--
	return l.take(m, take)
}

// take gives take a message of a stream.
func (l *link) take(m *nats.Msg, take func(*message)) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	take(&message{receipt{l, l.era.Load(), m.Reply}, m, meta})
	return nil
}

// takeLate receives the remaining messages of a request whose end is overdue.
// It returns when the servers report the end of the request, a lease has
// passed, the connection is lost, or the consumer was created again.
func (l *link) takeLate(ctx context.Context, lost <-chan struct{}, era int64, left messages, came <-chan *nats.Msg, take func(*message)) {
	end := time.NewTimer(lease)
	defer end.Stop()
	for left.come() {
		select {
		case m := <-came:
			if era != l.era.Load() || l.receive(m, &left, take) != nil {
				return
			}
		case <-end.C:
			return
		case <-lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// overBy is what the servers' word means: nil if the request is just over.
func overBy(m *nats.Msg) error {
	status, description := m.Header.Get("Status"), strings.ToLower(m.Header.Get("Description"))
	switch {
	case status == "404" || status == "408": // there is nothing, or no more in that time
		return nil
	case status == "409" && strings.Contains(description, "exceeds maxbytes"): // the next message is larger than the rest of the limit
		return nil
	case status == "409" && strings.Contains(description, "batch completed"): // all messages were sent
		return nil
	case status == "503":
		return nats.ErrNoResponders
	case status == "409" && strings.Contains(description, "consumer deleted"):
		return errGone
	default:
		return fmt.Errorf("cluster: %s %s", status, m.Header.Get("Description"))
	}
}

// replay reads the stream of cancellations, which clients write to, by a
// consumer of its own.
type replay struct {
	link     *link
	consumer string // "" before it is made
}

// read is a reader. It leaves out the messages that an earlier read has passed
// to take, as its consumer is past them. After an error, or when the servers
// have removed the consumer, it begins with the first message again. It must
// not be called concurrently.
func (r *replay) read(ctx context.Context, take func(subject string, m *nats.Msg)) error {
	for n := batchSize; n == batchSize; { // fewer are all that there are
		err := r.link.patiently(ctx, func(ctx context.Context) (err error) {
			n, err = r.readBatch(ctx, take)
			if err != nil { // messages on their way are lost: the servers send each once
				r.close(ctx)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readBatch reads up to batchSize messages, and returns how many.
func (r *replay) readBatch(ctx context.Context, take func(subject string, m *nats.Msg)) (n int, err error) {
	if r.consumer == "" {
		create, cancel := lingering(ctx, forgetTime) // if ctx ended before the name arrives, the consumer could not be removed
		r.consumer, err = r.link.replayConsumer(create)
		cancel()
		if err != nil {
			return 0, err
		}
	}
	err = r.link.pull(ctx, wire.CancelStream, r.consumer, request{n: batchSize}, func(m *message) {
		n++
		take(m.subject(), m.msg)
	}, nil)
	return n, err
}

// close removes the consumer, also when ctx has ended.
func (r *replay) close(ctx context.Context) {
	if r.consumer != "" {
		r.link.forget(ctx, wire.CancelStream, r.consumer)
		r.consumer = ""
	}
}

// forgetTime is how long the request to remove a consumer may take.
const forgetTime = time.Second

// lingering returns a context that ends d after the end of ctx.
func lingering(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return later, func() { stop(); cancel() }
}

// forget removes a consumer, even if ctx has ended. If the request does not
// reach the servers, they remove the consumer after it has been inactive for a
// while.
func (l *link) forget(ctx context.Context, stream, consumer string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), forgetTime)
	defer cancel()
	l.js.DeleteConsumer(ctx, stream, consumer)
}
