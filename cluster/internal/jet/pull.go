package jet

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

// Pull requests messages without package jetstream. That package treats an
// empty message with the header Status as a status of the servers. A client can
// publish such a message, or a message with a damaged header, and so could end
// the requests of workers. Pull does not read the headers of messages. A
// message has a reply subject for its acknowledgment, and a status has no reply
// subject. So Pull can distinguish a message from a status. Only the servers
// can publish to the inbox of a request. See ADR-13 of NATS, "pull consumers".

// Message is a message of a stream, as a consumer delivers it.
type Message struct {
	Receipt
	Msg  *nats.Msg
	Meta *nats.MsgMetadata
}

// Receipt acknowledges a message.
type Receipt struct {
	conn       *Conn
	generation int64 // of the consumer when the message arrived
	reply      string
}

// The acknowledgments of a message: see "Consumers" in the NATS documentation.
const (
	AckDone     = "+ACK"
	ackRetry    = "-NAK"
	AckProgress = "+WPI"
	AckReject   = "+TERM"
)

// Position identifies a message. A message that is delivered again has the same
// Position. The time distinguishes messages with the same sequence number, if
// the stream was deleted and created again.
type Position struct {
	Sequence uint64
	Time     int64 // Unix time in nanoseconds
}

// Position returns the position of the message.
func (m *Message) Position() Position {
	return Position{m.Meta.Sequence.Stream, m.Meta.Timestamp.UnixNano()}
}

// Subject returns the subject of the message.
func (m *Message) Subject() string { return m.Msg.Subject }

// Data returns the content of the message.
func (m *Message) Data() []byte { return m.Msg.Data }

// DropContent removes the content of a message that only needs to be
// acknowledged, to save memory.
func (m *Message) DropContent() { m.Msg.Data, m.Msg.Header = nil, nil }

// Size returns the approximate size of the message in memory, in bytes.
func (m *Message) Size() int64 { return int64(m.Msg.Size()) }

// Ack sends an acknowledgment. If the acknowledgment does not arrive, the
// servers deliver the message again when its lease ends. Ack does nothing if
// the message is from an earlier generation of the consumer, because another
// message may have its sequence number now.
func (r *Receipt) Ack(word string) {
	if r.generation == r.conn.generation.Load() {
		r.conn.NC.Publish(r.reply, []byte(word))
	}
}

// Redeliver makes the servers deliver the message again after a delay.
func (r *Receipt) Redeliver(delay time.Duration) {
	r.Ack(fmt.Sprintf(`%s {"delay": %d}`, ackRetry, delay.Nanoseconds()))
}

const ackPrefix = "$JS.ACK."

// statusTimeout is the time for which Pull waits for a status after the end
// of a request.
const statusTimeout = 2 * time.Second

// ErrConsumerDeleted is returned by Pull if the consumer does not exist.
var ErrConsumerDeleted = errors.New("cluster: the consumer does not exist")

// PullRequest is a request for messages of a consumer.
type PullRequest struct {
	N       int           // maximum number of messages
	Bytes   int64         // maximum total size of the messages; 0 for no limit
	Expires time.Duration // the time for which the servers wait for messages; 0 means that they send only stored messages
}

// Pull sends a request for messages to a consumer, and calls the function
// take with each message that arrives. Pull returns when the servers have
// ended the request and all messages that they sent for it have arrived. It
// returns an error if the servers did not end the request in time, or if the
// connection was lost.
//
// If this process or a server got no CPU time for seconds, messages can
// arrive after Pull has returned. These late messages would have no worker
// until their leases end. So for the time of a lease, another goroutine
// receives these messages. It calls the function late with each of them.
// This function may be nil only if the consumer is not used again.
func (c *Conn) Pull(ctx context.Context, stream, consumer string, r PullRequest, take, late func(*Message)) error {
	if !c.NC.IsConnected() { // a request that is sent when the connection is restored would end at once, and its tasks would have no worker until their leases end
		return nats.ErrDisconnected
	}
	lost, generation := c.Reconnected.Wait(), c.generation.Load()
	arrived := make(chan *nats.Msg, r.N+1) // the messages and a status
	sub, err := c.sendPull(stream, consumer, r, arrived)
	if err != nil {
		return err
	}
	waits := false // for late messages
	defer func() {
		if !waits {
			sub.Unsubscribe()
		}
	}()
	overdue := time.After(r.Expires + statusTimeout)
	left := remaining{messages: r.N}
	for left.expected() {
		select {
		case m := <-arrived:
			if err := c.receive(m, &left, take); err != nil {
				return err
			}
		case <-overdue:
			if waits = late != nil; waits {
				c.Background.Go(func() {
					defer sub.Unsubscribe()
					c.takeLate(ctx, lost, generation, left, arrived, late)
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

// remaining counts the messages of a request that have not arrived.
//
// A status can overtake messages: if a consumer has replicas, its server sends
// a status at once, but sends a message only after the other servers have
// recorded the delivery. The status contains the number of requested messages
// that the servers have not sent. So a request ends when the status and all
// messages that the servers have sent have arrived. If Pull ended the request
// earlier, a message that arrives later would have no worker until its lease
// ends.
type remaining struct {
	messages int   // number of requested messages that have not arrived
	unsent   int   // number of these messages that the servers will not send
	err      error // the error in the status; nil if the status only says that the request has ended
}

// expected reports whether messages or the status have not arrived yet.
func (r *remaining) expected() bool { return r.messages > r.unsent }

// endWith records the status with which the servers end a request.
func (r *remaining) endWith(m *nats.Msg) {
	r.unsent, r.err = r.messages, statusError(m)
	n, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
	if err == nil && n >= 0 {
		r.unsent = min(r.unsent, n)
	}
}

// receive passes a message of a stream to the function take. If m is a
// status, receive records it in left instead.
func (c *Conn) receive(m *nats.Msg, left *remaining, take func(*Message)) error {
	if !strings.HasPrefix(m.Reply, ackPrefix) {
		left.endWith(m)
		return nil
	}
	left.messages--
	return c.take(m, take)
}

// take converts a message of a stream to a Message, and calls its parameter, a
// function, with this Message.
func (c *Conn) take(m *nats.Msg, take func(*Message)) error {
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	take(&Message{Receipt{c, c.generation.Load(), m.Reply}, m, meta})
	return nil
}

// takeLate receives the remaining messages of a request that has timed out. It
// returns when the servers report the end of the request, the time of a lease
// has passed, the connection is lost, or the consumer was created again.
func (c *Conn) takeLate(ctx context.Context, lost <-chan struct{}, generation int64, left remaining, arrived <-chan *nats.Msg, take func(*Message)) {
	end := time.After(c.Times.Lease)
	for left.expected() {
		select {
		case m := <-arrived:
			if generation != c.generation.Load() || c.receive(m, &left, take) != nil {
				return
			}
		case <-end:
			return
		case <-lost:
			return
		case <-ctx.Done():
			return
		}
	}
}

// statusError returns the error in a status, or nil if the status only says
// that the request has ended.
func statusError(m *nats.Msg) error {
	status, description := m.Header.Get("Status"), strings.ToLower(m.Header.Get("Description"))
	switch {
	case status == "404" || status == "408": // there are no messages, or no further message came in the time of the request
		return nil
	case status == "409" && strings.Contains(description, "exceeds maxbytes"): // the next message is larger than the rest of the limit
		return nil
	case status == "409" && strings.Contains(description, "batch completed"): // all messages were sent
		return nil
	case status == "503":
		return nats.ErrNoResponders
	case status == "409" && strings.Contains(description, "consumer deleted"):
		return ErrConsumerDeleted
	default:
		return fmt.Errorf("cluster: the servers refuse a request for messages: %s %s", status, m.Header.Get("Description"))
	}
}

// CancelReader reads CancelStream by a consumer of its own. It does not use the
// headers of messages, because clients write to this stream.
type CancelReader struct {
	conn     *Conn
	consumer string // "" before it is created
}

// NewCancelReader returns a CancelReader.
func NewCancelReader(conn *Conn) *CancelReader { return &CancelReader{conn: conn} }

// Read is a Reader. It omits messages that an earlier call of Read has
// passed to the function take. After an error, or when the servers have
// deleted the consumer, it begins with the first message again. It must not
// be called concurrently.
func (r *CancelReader) Read(ctx context.Context, take func(subject string, m *nats.Msg)) error {
	for n := BatchSize; n == BatchSize; { // a smaller batch is the last one
		err := r.conn.RetryUntilDeadline(ctx, func(ctx context.Context) (err error) {
			n, err = r.readBatch(ctx, take)
			if err != nil { // messages that were sent are lost, because the servers send each message once
				r.Close(ctx)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// readBatch reads up to BatchSize messages, and returns their number.
func (r *CancelReader) readBatch(ctx context.Context, take func(subject string, m *nats.Msg)) (n int, err error) {
	if r.consumer == "" {
		create, cancel := outlive(ctx, deleteTimeout) // the request continues if ctx ends now: its reply has the name, by which the consumer can be deleted
		r.consumer, err = r.conn.cancelConsumer(create)
		cancel()
		if err != nil {
			return 0, err
		}
	}
	err = r.conn.Pull(ctx, wire.CancelStream, r.consumer, PullRequest{N: BatchSize}, func(m *Message) {
		n++
		take(m.Subject(), m.Msg)
	}, nil)
	return n, err
}

// Close deletes the consumer, even if ctx has ended.
func (r *CancelReader) Close(ctx context.Context) {
	if r.consumer != "" {
		r.conn.DeleteConsumer(ctx, wire.CancelStream, r.consumer)
		r.consumer = ""
	}
}

// deleteTimeout is the timeout of a request to delete a consumer.
const deleteTimeout = time.Second

// outlive returns a context that ends d after the end of ctx.
func outlive(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return later, func() { stop(); cancel() }
}

// DeleteConsumer deletes a consumer, even if ctx has ended. If the request
// does not arrive, the servers delete the consumer when it has been idle for
// a while.
func (c *Conn) DeleteConsumer(ctx context.Context, stream, consumer string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deleteTimeout)
	defer cancel()
	c.JS.DeleteConsumer(ctx, stream, consumer)
}

// sendPull sends a request for messages to a consumer. The channel arrived
// receives the messages until the returned subscription ends.
func (c *Conn) sendPull(stream, consumer string, r PullRequest, arrived chan *nats.Msg) (sub *nats.Subscription, err error) {
	p := wire.Pull{Stream: stream, Consumer: consumer, Batch: r.N, Bytes: r.Bytes, Expires: r.Expires, Inbox: wire.NewToken()}
	if c.PullsThroughServer() {
		body, err := wire.Marshal(&p)
		if err != nil {
			return nil, err
		}
		return c.subscribeAndSend(wire.DeliverSubject(c.Public, p.Inbox), arrived, func(string) error { return c.NC.Publish(wire.PullSubject(c.Public), body) })
	}
	body, err := p.Request()
	if err != nil {
		return nil, err
	}
	return c.subscribeAndSend(c.NC.NewInbox(), arrived, func(inbox string) error {
		return c.NC.PublishRequest(c.api+"CONSUMER.MSG.NEXT."+stream+"."+consumer, inbox, body)
	})
}

// subscribeAndSend subscribes to a subject, and then calls the function
// send.
func (c *Conn) subscribeAndSend(subject string, arrived chan *nats.Msg, send func(subject string) error) (*nats.Subscription, error) {
	sub, err := c.NC.ChanSubscribe(subject, arrived)
	if err != nil {
		return nil, err
	}
	if err := send(subject); err != nil {
		sub.Unsubscribe()
		return nil, err
	}
	return sub, nil
}

// PullsThroughServer reports whether a server sends the requests of this
// connection to consumers: see wire.Pull.
func (c *Conn) PullsThroughServer() bool { return c.api == wire.ClientAPI+"." }
