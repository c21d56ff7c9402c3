package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// pullOptions is how results are pulled: many at a time, with heartbeats so that a
// server that is gone is soon missed.
var pullOptions = []jetstream.PullConsumeOpt{
	jetstream.PullMaxMessages(2048), jetstream.PullExpiry(5 * time.Second), jetstream.PullHeartbeat(time.Second),
}

// consumeResults takes results from a stream until the executor ends, through a
// consumer for the session. Servers forget the consumer of a client that was
// without connection for two hours, and servers that have lost their disks do
// not know it. By then, results may have been removed, and tasks may be lost.
// So receive creates the consumer again, which delivers new results and those
// that are still stored. Then it has the calls that are with the cluster
// audited: see audit.go.
func (e *Executor) consumeResults(ctx context.Context, stream string) error {
	trouble := make(chan struct{}, 1)
	consuming, err := e.consume(ctx, stream, trouble)
	if err != nil {
		return fmt.Errorf("cluster: results: %w", err)
	}
	var renew <-chan struct{} // nil for kept results, which seek looks up
	if stream == wire.ResultStream {
		renew = e.recreate
	}
	e.background.Go(func() {
		closed := consuming.Closed() // when the last result has been taken; one that is asked for later may be closed before
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

// consume has the session's consumer of a stream give its results, and trouble
// be told when something may be wrong with it.
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

// consumerMissing reports whether the servers know nothing of the session's consumer.
func (e *Executor) consumerMissing(stream string) bool {
	ctx, cancel := context.WithTimeout(e.ctx, jet.RequestTimeout)
	defer cancel()
	_, err := e.conn.JS.Consumer(ctx, stream, e.session)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

// recreateConsumer is consume when the servers have forgotten the session. It
// returns nil if the executor ends first.
func (e *Executor) recreateConsumer(stream string, trouble chan<- struct{}) jetstream.ConsumeContext {
	for told := false; ; {
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
		if !told {
			told = true
			e.opts.Notice("session expired on the servers, and a new one could not be opened yet: " + err.Error())
		}
		e.sleep(time.Second)
	}
}

// sleep waits, unless the executor ends.
func (e *Executor) sleep(d time.Duration) {
	select {
	case <-time.After(d):
	case <-e.ctx.Done():
	}
}

const maxResends = 3 // how often a call is sent again because its argument, result or task was lost

// removalTime is how long after it was acknowledged a message may still be
// there, on several servers.
const removalTime = time.Second

// rerun has a call run once more whose argument or result was lost after it
// was stored, as the message says. It reports false if that has happened too
// often. Steps: 1. the message is acknowledged, and so removed, 2. and then the
// call is sent again: its next result has the same subject, which has room for
// one.
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
		ctx, cancel := context.WithTimeout(e.ctx, 2*jet.RequestTimeout) // of a message that was lost, too, there is no word
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

// resend publishes a call once more: its large argument only if that is not
// there any more, as the first message names it, too.
func (e *Executor) resend(c *call) {
	e.mu.Lock()
	arg, ended := c.arg, c.ended
	e.mu.Unlock()
	if ended { // by a result that was still there
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
