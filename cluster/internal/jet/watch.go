package jet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxBufferedChanges = 1 << 12                // maximum number of received messages that wait for a call of take
	BatchSize          = 512                    // maximum number of messages in one request of a Reader
	MinPause           = 100 * time.Millisecond // pause between the first two reads
	maxFailedPause     = time.Second            // maximum pause after a failed read
)

// A Reader calls the function take with each message of a stream. It may
// omit a message that an earlier call of the Reader has passed to take.
type Reader func(ctx context.Context, take func(subject string, m *nats.Msg)) error

// Watched configures Watch.
type Watched struct {
	Stream   string
	Prefix   string                    // prefix of the subjects, without the last dot
	Live     string                    // prefix of the subjects at which messages are published when they are stored; "" for Prefix
	Read     Reader                    // reads the stream; never called concurrently
	OnEnd    func(ctx context.Context) // called after the last read, even if ctx has ended; may be nil
	MaxPause time.Duration             // the longest pause between two reads
}

func (f *Watched) end(ctx context.Context) {
	if f.OnEnd != nil {
		f.OnEnd(ctx)
	}
}

// Watch calls the function take with each message of a stream. The arguments
// are the subject after the prefix, the content, whether the subject was
// deleted, and the time at which the servers stored the message, by their
// clock. This time is zero for a message that has just arrived through the
// subscription. Watch blocks until take has been called with the messages
// that the stream contains already. After that, take is called with each new
// message, until the second context (life) ends. The calls never overlap.
//
// A new message usually arrives at once, through a subscription. In the worst
// case, only a read finds the message. Then the message arrives MaxPause after
// the stream has stored it, plus the duration of the read. This limit does not
// depend on the order in which the publisher, the servers and this program act.
// The time for which the servers cannot be reached does not count. The steps:
//
//  1. Watch subscribes to the subjects.
//  2. It reads the stream.
//  3. It reads the stream again after MinPause, after twice MinPause, and so on
//     up to MaxPause, and then each time after MaxPause.
//  4. When the connection was lost, or when the subscription had too many
//     messages, Watch begins step 3 with MinPause again.
//
// Steps 1 and 2 alone can miss a message, and step 3 finds it. The possible
// reasons for a miss:
//
//   - Servers send a message to subscribers when it arrives, and store it
//     later. So a message may be sent before step 1 and stored after step 2.
//   - The replica that answers the read may not have the message yet.
//   - A server may send the message to subscribers before it knows of a
//     subscription at another server.
//   - The message may be lost between two servers.
//
// Watch may call take several times with one message. It may also call take
// with an old message of a subject after a newer one: the subscription may
// deliver the newer message before the servers store it, and then a read may
// return the old message. If the order matters, the messages must contain a
// number. If servers are lost at the wrong moment, they never store a
// published message. So the publisher must repeat a message that is not
// acknowledged.
func (c *Conn) Watch(ctx, life context.Context, f Watched, take func(key string, value []byte, gone bool, stored time.Time)) error {
	changes := make(chan *nats.Msg, maxBufferedChanges)
	missed := c.missed.Wait()
	live := cmp.Or(f.Live, f.Prefix)
	sub, err := c.NC.ChanSubscribe(live+".>", changes)
	if err != nil {
		return fmt.Errorf("cluster: subscribing to %s: %w", f.Stream, err)
	}
	var taking sync.Mutex
	give := func(subject string, m *nats.Msg) {
		op := m.Header.Get("KV-Operation")
		taking.Lock()
		defer taking.Unlock()
		stored, _ := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
		take(strings.TrimPrefix(subject, f.Prefix+"."), m.Data, op == "PURGE" || op == "DEL", stored)
	}
	if err := f.Read(ctx, give); err != nil {
		sub.Unsubscribe()
		f.end(ctx)
		return fmt.Errorf("cluster: reading %s: %w", f.Stream, err)
	}
	c.Background.Go(func() {
		defer sub.Unsubscribe()
		for {
			select {
			case m := <-changes:
				give(f.Prefix+strings.TrimPrefix(m.Subject, live), m)
			case <-life.Done():
				return
			}
		}
	})
	c.Background.Go(func() { c.reread(life, missed, f, give) })
	return nil
}

// reread reads a stream repeatedly, until its context ends: steps 3 and 4 of
// Watch. It has its own goroutine, so that a slow read does not delay the
// subscription.
func (c *Conn) reread(life context.Context, missed <-chan struct{}, f Watched, give func(subject string, m *nats.Msg)) {
	defer f.end(life)
	first := min(MinPause, f.MaxPause)
	pause, last := first, time.Now()
	for {
		next := time.NewTimer(pause)
		select {
		case <-next.C:
			pause = min(2*pause, f.MaxPause)
		case <-missed:
			// Pause before the read. Otherwise a client that floods the
			// subscription could cause reads without a pause.
			next.Reset(max(0, first-time.Since(last)))
			select {
			case <-next.C:
			case <-life.Done():
				next.Stop()
				return
			}
			missed = c.missed.Wait()
			pause = first
		case <-life.Done():
			next.Stop()
			return
		}
		last = time.Now()
		if f.Read(life, give) != nil {
			pause = min(pause, maxFailedPause)
		}
	}
}

// ReadAll returns a Reader of all messages under a prefix. It trusts the
// headers of messages, so it is only for streams that clients cannot write to.
func (c *Conn) ReadAll(stream, prefix string) Reader {
	return func(ctx context.Context, take func(subject string, m *nats.Msg)) error {
		for next, more := uint64(1), true; more; {
			err := c.RetryUntilDeadline(ctx, func(ctx context.Context) error {
				last, pending, err := c.getBatch(ctx, stream, map[string]any{"seq": next, "batch": BatchSize, "max_bytes": maxBatchBytes, "next_by_subj": prefix + ".>"}, take)
				if err == nil && pending && last < next {
					err = errors.New("the servers announced more messages and sent none")
				}
				if err == nil {
					next, more = last+1, pending
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// ReadLatest reads the latest message of each of at most BatchSize subjects. It
// omits subjects without a message. It trusts headers, as ReadAll does.
func (c *Conn) ReadLatest(ctx context.Context, stream string, subjects []string, take func(subject string, m *nats.Msg)) error {
	return c.RetryUntilDeadline(ctx, func(ctx context.Context) error {
		_, _, err := c.getBatch(ctx, stream, map[string]any{"multi_last": subjects}, take)
		return err
	})
}

// maxBatchBytes is the maximum total size of the messages of a batch. Without
// it, the servers send as many bytes as may wait in a connection (64 MiB), and
// then close the connection of a client that reads slowly.
const maxBatchBytes = 16 << 20

// getBatch requests messages of a stream. It returns the sequence number of the
// last message that the servers have sent, and whether there are more messages.
// See ADR-31 of NATS, "JetStream direct get".
func (c *Conn) getBatch(ctx context.Context, stream string, request map[string]any, take func(subject string, m *nats.Msg)) (last uint64, more bool, err error) {
	inbox := c.NC.NewInbox()
	sub, err := c.NC.SubscribeSync(inbox)
	if err != nil {
		return 0, false, err
	}
	defer sub.Unsubscribe()
	body, err := json.Marshal(request)
	if err != nil {
		return 0, false, err
	}
	if err := c.NC.PublishRequest(c.api+"DIRECT.GET."+stream, inbox, body); err != nil {
		return 0, false, err
	}
	for {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			return 0, false, err
		}
		switch status := m.Header.Get("Status"); status {
		case "":
			last, err = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
			if err != nil {
				return 0, false, fmt.Errorf("a message without a sequence number: %w", err)
			}
			take(m.Header.Get(jetstream.SubjectHeader), m)
		case "204": // the end of the batch
			pending := m.Header.Get("Nats-Num-Pending")
			return last, pending != "" && pending != "0", nil
		case "404": // there is no message
			return last, false, nil
		case "503":
			return 0, false, nats.ErrNoResponders
		default:
			return 0, false, fmt.Errorf("%s %s", status, m.Header.Get("Description"))
		}
	}
}
