package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// pullOptions are the options for pulling results: large batches, and
// heartbeats by which the client soon notices the loss of a server.
var pullOptions = []jetstream.PullConsumeOpt{
	jetstream.PullMaxMessages(2048), jetstream.PullExpiry(5 * time.Second), jetstream.PullHeartbeat(time.Second),
}

// consumeResults creates a consumer of a stream for the session, and handles
// the results that the consumer delivers, until the executor ends. The servers
// delete the consumer if the client has had no connection for two hours. The
// servers may also lose the consumer with their disks. In both cases, results
// may have expired, and tasks may be lost. So consumeResults creates the
// consumer again, and calls auditAll, see audit.go. The new consumer delivers
// the results that are still stored.
func (e *Executor) consumeResults(ctx context.Context, stream string) error {
	trouble := make(chan struct{}, 1)
	consuming, err := e.consume(ctx, stream, trouble)
	if err != nil {
		return fmt.Errorf("cluster: creating the consumer of results: %w", err)
	}
	var renew <-chan struct{} // nil for kept results, which findKept reads
	if stream == wire.ResultStream {
		renew = e.recreate
	}
	e.background.Go(func() {
		closed := consuming.Closed() // must be called before the consumer is closed
		for {
			select {
			case <-trouble:
			case <-renew:
				e.conn.DeleteConsumer(e.ctx, stream, e.session)
			case <-closed:
			case <-e.ctx.Done():
				consuming.Stop()
				<-closed
				return
			}
			if isClosed(closed) || e.consumerMissing(stream) {
				consuming.Stop()
				<-closed
				if consuming = e.recreateConsumer(stream, trouble); consuming == nil {
					return
				}
				closed = consuming.Closed()
				if n := e.auditAll(); n > 0 {
					e.opts.Notice(fmt.Sprintf("session expired on the servers: checking %d outstanding tasks, and resubmitting those that the servers have lost", n))
				}
			}
			e.sleep(time.Second)
		}
	})
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// consume starts to handle the results of a stream. It sends an element to
// the channel trouble when something may be wrong with the consumer.
func (e *Executor) consume(ctx context.Context, stream string, trouble chan<- struct{}) (jetstream.ConsumeContext, error) {
	consumer, err := e.conn.SessionConsumer(ctx, stream, e.client, e.session)
	if err != nil {
		return nil, err
	}
	opts := append(pullOptions[:len(pullOptions):len(pullOptions)], jetstream.ConsumeErrHandler(func(jetstream.ConsumeContext, error) {
		select {
		case trouble <- struct{}{}:
		default:
		}
	}))
	return consumer.Consume(e.onResult, opts...)
}

// consumerMissing reports whether the servers do not have the session's
// consumer.
func (e *Executor) consumerMissing(stream string) bool {
	ctx, cancel := context.WithTimeout(e.ctx, jet.RequestTimeout)
	defer cancel()
	_, err := e.conn.JS.Consumer(ctx, stream, e.session)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// recreateConsumer calls e.consume until a call succeeds. It returns nil if the
// executor ends first.
func (e *Executor) recreateConsumer(stream string, trouble chan<- struct{}) jetstream.ConsumeContext {
	for noticed := false; ; {
		err := e.conn.EnsureSetupAgain(e.ctx)
		if err == nil {
			var consuming jetstream.ConsumeContext
			if consuming, err = e.consume(e.ctx, stream, trouble); err == nil {
				return consuming
			}
		}
		if e.ctx.Err() != nil {
			return nil
		}
		if !noticed {
			noticed = true
			e.opts.Notice("session expired on the servers, and could not be opened again yet: " + err.Error())
		}
		e.sleep(time.Second)
	}
}

// sleep waits for a duration, or until the executor ends.
func (e *Executor) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-e.ctx.Done():
	}
}

const maxResends = 3 // the maximum number of times that a call is sent again because its argument, result or task was lost

// removalTime is the time that servers may need to remove a message after
// its acknowledgment.
const removalTime = time.Second

// rerun sends a call again, because the servers have lost its argument or
// its large result. msg is the outcome that reports the loss. rerun reports
// false if the call was already sent again maxResends times. First rerun
// acknowledges msg, so that the servers remove msg from the stream. Then it
// sends the call. This order matters, because the next outcome has the same
// subject as msg, and the stream stores only one message for each subject.
func (e *Executor) rerun(c *call, msg jetstream.Msg, what string, send func(*call)) bool {
	e.mu.Lock()
	c.resends++
	again := c.resends <= maxResends
	e.mu.Unlock()
	if !again {
		return false
	}
	e.opts.Notice(what + " of a task of " + e.describe(c) + " is no longer stored: resubmitting the task")
	e.background.Go(func() {
		ctx, cancel := context.WithTimeout(e.ctx, 2*jet.RequestTimeout) // if the servers have lost msg, too, they do not answer
		e.conn.RetryTransient(ctx, msg.DoubleAck)
		cancel()
		e.sleep(removalTime)
		e.mu.Lock()
		c.downloading = false
		e.mu.Unlock()
		send(c)
	})
	return true
}

// resend publishes a call again. It uploads a large argument only if the
// servers have lost it.
func (e *Executor) resend(c *call) {
	e.mu.Lock()
	arg, ended := c.arg, c.ended
	e.mu.Unlock()
	if ended { // by a result that has arrived in the meantime, or by a cancellation
		return
	}
	if arg.Blob != "" {
		err := e.conn.RetryTransient(e.ctx, func(ctx context.Context) error {
			_, err := e.conn.LastMessage(ctx, wire.BlobStream, wire.BlobSubject(arg.Blob, 0), 0)
			return err
		})
		if !errors.Is(err, jet.ErrAbsent) {
			e.publish(c)
			return
		}
	}
	e.send(c)
}
