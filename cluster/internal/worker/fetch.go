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

// pull asks for as many tasks as there are places for, and for some more if
// they are quick, until the context ends. A few that are missing are not asked
// for as long as there is something to do for each place.
func (w *worker) pull(ctx context.Context) {
	for ctx.Err() == nil {
		w.mu.Lock()
		capacity := w.opts.Slots * (1 + prefetch.Calls(w.meanTime))
		// Other tasks overtake tasks that wait for memory. So up to opts.Places
		// of the waiting ones do not count against the capacity.
		want := capacity + min(w.opts.Slots, len(w.memory.waiting)) - len(w.held) - w.requested
		idle := len(w.free) > len(w.ready)+w.requested
		bytes := w.memory.requestable()
		few := w.openFetches == 0 || !w.lastEmpty && w.openFetches < maxFetches // when there is nothing to do, one request asks for all
		if want > 0 && bytes > 0 && few && (idle || want >= capacity/4) {
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

// fetch sends one request for up to n tasks. The messages of these tasks have
// at most bytes bytes in total.
func (w *worker) fetch(n int, bytes int64) {
	asked := n
	w.mu.Lock()
	expiry := w.expiry
	w.expiry = min(2*expiry, maxPullTime)
	w.mu.Unlock()
	// Without heartbeats: a request lives for seconds only, and a task that
	// came after one was given up for a late heartbeat would be held by nobody
	// until its lease ends.
	err := w.conn.Pull(w.ctx, wire.TaskStream, w.setName, jet.PullRequest{N: n, Bytes: bytes, Expires: expiry}, func(m *jet.Message) {
		n--
		size := min(m.Size(), bytes)
		bytes -= size
		w.mu.Lock()
		w.expiry, w.lastEmpty = PullTime, false
		w.requested--
		w.memory.requested -= size
		w.mu.Unlock()
		w.accept(m)
	}, w.acceptLate)
	if err != nil {
		// The consumer or its servers are missing. With a key, the only sign of
		// that is a timeout.
		gone := errors.Is(err, jet.ErrConsumerDeleted) || errors.Is(err, nats.ErrNoResponders)
		if gone || errors.Is(err, nats.ErrTimeout) && w.conn.PullsThroughServer() && w.consumerMissing() {
			w.reregister()
		}
		select { // no servers, or the connection is lost
		case <-time.After(200 * time.Millisecond):
		case <-w.ctx.Done():
		}
	}
	w.mu.Lock()
	w.lastEmpty = w.lastEmpty || n == asked
	w.requested -= n
	w.memory.requested -= bytes
	w.openFetches--
	w.checkIdleLocked()
	w.mu.Unlock()
	w.notify()
}

// acceptLate takes a task of a request that fetch has given up. A worker that
// drains leaves it to its lease.
func (w *worker) acceptLate(m *jet.Message) {
	w.mu.Lock()
	if w.draining {
		w.mu.Unlock()
		return
	}
	w.openFetches++ // a drain that begins now waits for it
	w.expiry, w.lastEmpty = PullTime, false
	w.mu.Unlock()
	w.accept(m)
	w.mu.Lock()
	w.openFetches--
	w.checkIdleLocked()
	w.mu.Unlock()
}

// reregister does so when the servers know nothing of the worker any more:
// if they have lost their disks, say. If it fails it is done again.
func (w *worker) reregister() {
	ctx, cancel := context.WithTimeout(w.ctx, jet.RequestTimeout)
	defer cancel()
	if w.conn.EnsureSetupAgain(ctx) == nil {
		w.register(ctx)
	}
}

// consumerMissing reports whether the servers know nothing of the worker any more,
// or another one of its contract has registered anew since this one has.
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

// notify has the worker look whether there is something to do.
func (w *worker) notify() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
