package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// Limits of the consumers that a server creates for one key, and that exist at
// the same time.
const (
	// Maximum number of capability sets of workers with one key. The servers
	// delete the consumer of a set without workers after a day.
	maxCapabilitySets = 256

	// Maximum number of consumers of cancellations for one key. Each worker
	// process has one such consumer.
	maxCancelReaders = 4096
)

const maxConsumers = 1 << 16 // maximum number of consumers of a stream

// session identifies a JetStream consumer that a server creates for a key. A
// client's consumer reads results. A worker's consumer reads the tasks of its
// capability set, or cancellations. A stream can have a limited number of
// consumers. So a server counts the sessions of each key, and limits their
// number:
//
//	counted --> created --> not counted, after it has ended
//	   |
//	   +------> not counted, if it could not be created
//
// Servers do not exchange these counts, and a server that starts again counts
// from 0. So the limit is for each server.
type session struct{ stream, name string }

// limit returns the streams whose sessions are counted together with this
// session, the maximum number of these sessions, and the format of the error
// if there are more. The parameter is the maximum for clients.
func (s session) limit(sessions int) (streams []string, max int, full string) {
	switch s.stream {
	case wire.TaskStream:
		return []string{s.stream}, maxCapabilitySets, "there are %d sets of functions of workers with this key already: use one key for fewer kinds of workers, or wait a day until the servers have deleted the sets without workers"
	case wire.CancelStream:
		return []string{s.stream}, maxCancelReaders, "there are %d workers with this key already: end some, or make another key for others"
	default:
		return []string{wire.ResultStream, wire.KeptStream}, sessions, "there are %d sessions of this key already: end some, wait two hours until the servers have deleted the lost sessions, or raise the limit: concertd serve --sessions"
	}
}

// createConsumer creates the consumer of a session of a key. It returns an
// error if the key has too many sessions, or if another client has a consumer
// with this name.
func (d *service) createConsumer(ctx context.Context, key string, s session, config jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	if !d.count(key, s) {
		if !d.mayRecount(key) {
			return nil, fmt.Errorf("%w: there are too many sessions of this key, and the server has not checked yet which of them have ended: try again in a second", wire.ErrTransient)
		}
		streams, max, full := s.limit(d.server.options.Sessions)
		if err := d.recount(ctx, key, streams); err != nil {
			return nil, err
		}
		if !d.count(key, s) {
			return nil, fmt.Errorf(full, max)
		}
	}
	c, err := d.js.CreateConsumer(ctx, s.stream, config)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.sessions[key][s] = true
	} else if !d.sessions[key][s] {
		delete(d.sessions[key], s)
	}
	return c, err
}

// count counts a session. It reports false if the key has too many sessions.
func (d *service) count(key string, s session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	counted := d.sessions[key]
	if counted == nil {
		counted = map[session]bool{} // the value reports whether the session was created
		d.sessions[key] = counted
	}
	if _, known := counted[s]; known {
		return true
	}
	streams, max, _ := s.limit(d.server.options.Sessions)
	n := 0
	for other := range counted {
		if slices.Contains(streams, other.stream) {
			n++
		}
	}
	if n >= max {
		return false
	}
	counted[s] = false
	return true
}

// recountPeriod is the minimum time between two recounts for a key: a recount
// is slow.
const recountPeriod = time.Second

func (d *service) mayRecount(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.recounted[key]) < recountPeriod {
		return false
	}
	d.recounted[key] = time.Now()
	return true
}

// recount removes ended sessions of a key from the count. The steps:
//
//  1. Collect the sessions that were created.
//  2. Ask the servers which consumers exist.
//  3. Remove the sessions of step 1 whose consumers do not exist.
//
// A session that is created after step 1 is not removed, because it was not
// collected.
func (d *service) recount(ctx context.Context, key string, streams []string) error {
	d.mu.Lock()
	ended := map[session]bool{}
	for s, made := range d.sessions[key] {
		if made && slices.Contains(streams, s.stream) {
			ended[s] = true
		}
	}
	d.mu.Unlock()
	for _, name := range streams {
		stream, err := d.js.Stream(ctx, name)
		if err != nil {
			return err
		}
		there := stream.ConsumerNames(ctx)
		for consumer := range there.Name() {
			delete(ended, session{name, consumer})
		}
		if err := there.Err(); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range ended {
		delete(d.sessions[key], s)
	}
	return nil
}
