package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/prefetch"
	"concert/cluster/internal/wire"
)

// pull requests tasks until ctx ends. The worker should hold as many tasks as
// it has slots, and more if tasks are quick. If no slot is idle, pull sends a
// request only if at least a quarter of these tasks is missing.
//
// The worker never has two open requests. The servers distribute tasks in turn
// to all open requests of a consumer, and each request has its own channel.
// So with two open requests, a task could start before a task that was
// submitted earlier, and take the last slot.
func (w *worker) pull(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		capacity := w.opts.Slots * (1 + prefetch.Calls(w.meanTime))
		// Tasks overtake other tasks that wait for memory. So up to opts.Slots
		// tasks that wait for memory do not count.
		want := capacity + min(w.opts.Slots, w.memory.lacking()) - len(w.held) - w.requested
		idle := len(w.free) > len(w.ready)+w.requested
		bytes := w.memory.requestable()
		if want > 0 && bytes > 0 && w.openFetches == 0 && (idle || want >= capacity/4) {
			w.requested += want
			w.memory.requested += bytes
			w.openFetches++
			w.conn.Background.Go(func() { w.fetch(want, bytes) })
		}
		w.mu.Unlock()
		select {
		case <-w.wake:
		case <-ctx.Done():
		}
	}
}

// fetch sends one request for up to n tasks. The parameter bytes is the
// maximum total size of the messages of these tasks.
func (w *worker) fetch(n int, bytes int64) {
	w.mu.Lock()
	expiry := w.expiry
	w.expiry = min(2*expiry, w.opts.MaxPullTime)
	w.mu.Unlock()
	// The request has no heartbeats, because it lasts for seconds only. If a
	// late heartbeat ended the request, a task that arrives after the end would
	// have no worker until its lease ends.
	err := w.conn.Pull(w.ctx, wire.TaskStream, w.setName, jet.PullRequest{N: n, Bytes: bytes, Expires: expiry}, func(m *jet.Message) {
		n--
		size := min(m.Size(), bytes)
		bytes -= size
		w.mu.Lock()
		w.expiry = w.opts.PullTime
		w.requested--
		w.memory.requested -= size
		w.mu.Unlock()
		w.accept(m)
	}, w.acceptLate)
	if err != nil {
		// The consumer or its servers are missing. With a key, a timeout is the
		// only sign that they are missing.
		gone := errors.Is(err, jet.ErrConsumerDeleted) || errors.Is(err, nats.ErrNoResponders)
		if gone || errors.Is(err, nats.ErrTimeout) && w.conn.PullsThroughServer() && w.consumerMissing() {
			w.reregister()
		}
		select { // no server answers, or the connection is lost
		case <-time.After(200 * time.Millisecond):
		case <-w.ctx.Done():
		}
	}
	w.mu.Lock()
	w.requested -= n
	w.memory.requested -= bytes
	w.openFetches--
	w.checkIdleLocked()
	w.mu.Unlock()
	w.notify()
}

// acceptLate accepts a task that arrives after its request, sent by fetch, has
// timed out. If the worker drains, acceptLate ignores the task, and the task
// goes to another worker when its lease ends.
func (w *worker) acceptLate(m *jet.Message) {
	w.mu.Lock()
	if w.draining {
		w.mu.Unlock()
		return
	}
	w.openFetches++ // a drain that begins now waits for this task
	w.expiry = w.opts.PullTime
	w.mu.Unlock()
	w.accept(m)
	w.mu.Lock()
	w.openFetches--
	w.checkIdleLocked()
	w.mu.Unlock()
}

// reregister registers the worker again after the servers have lost it, for
// example with their disks. If it fails, a later call tries again.
func (w *worker) reregister() {
	ctx, cancel := context.WithTimeout(w.ctx, jet.RequestTimeout)
	defer cancel()
	if w.conn.EnsureSetupAgain(ctx) == nil {
		w.register(ctx)
	}
}

// consumerMissing reports whether the servers do not have the consumer of
// tasks, or another worker has created it again.
func (w *worker) consumerMissing() bool {
	ctx, cancel := context.WithTimeout(w.ctx, jet.RequestTimeout)
	defer cancel()
	c, err := w.conn.JS.Consumer(ctx, wire.TaskStream, w.setName)
	if err != nil {
		return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return !c.CachedInfo().Created.Equal(w.consumerCreated)
}

// notify wakes the goroutine of pull.
func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
