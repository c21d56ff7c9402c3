package server

import (
	"context"
	"fmt"
	"time"

	"concert/cluster/internal/wire"
)

// mostSessions is how many of a key a server lets in at the same time. A client that is lost and started again every ten seconds has fewer in the
// two hours after which those that were lost are forgotten.
var mostSessions = 1024 // tests have fewer

const mostConsumers = 1 << 16 // of a stream

// session is one of a client, with a stream. It is a consumer, of which a stream has only so many. So that no client takes them all,
// a server counts those that it has made for a key:
//
//	counted --> made --> not counted, as it has ended
//	   |
//	   +------> not counted, as it could not be made
//
// Servers tell each other nothing of that, and one that starts again knows of none: so the bound is one for each server.
type session struct{ stream, name string }

// admit makes the consumer of a session of a key, unless there are too many. It changes none: the name of a session that is another client's is refused.
func (d *door) admit(ctx context.Context, key string, s session) error {
	if !d.count(key, s) {
		if !d.mayRecount(key) {
			return fmt.Errorf("%w: there are many sessions of this key, which were counted a moment ago", wire.ErrLater)
		}
		if err := d.recount(ctx, key); err != nil {
			return err
		}
		if !d.count(key, s) {
			return fmt.Errorf("there are %d sessions of this key already: end some, or wait two hours until those that were lost are forgotten", mostSessions)
		}
	}
	_, err := d.js.CreateConsumer(ctx, s.stream, wire.SessionConsumer(s.stream, key, s.name))
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.sessions[key][s] = true
	} else if !d.sessions[key][s] {
		delete(d.sessions[key], s)
	}
	return err
}

// count counts a session, unless there is no room.
func (d *door) count(key string, s session) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	counted := d.sessions[key]
	if counted == nil {
		counted = map[session]bool{} // and whether it was made
		d.sessions[key] = counted
	}
	if _, known := counted[s]; known {
		return true
	}
	if len(counted) >= mostSessions {
		return false
	}
	counted[s] = false
	return true
}

// recountPeriod is how often sessions of a key are counted anew at most: that takes the servers some time.
const recountPeriod = time.Second

func (d *door) mayRecount(key string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.recounted[key]) < recountPeriod {
		return false
	}
	d.recounted[key] = time.Now()
	return true
}

// recount no longer counts sessions of a key that have ended. Steps: 1. it takes those that were made, 2. asks which there are, 3. and forgets those
// of 1 that are not: one that was made after 2 is none of them.
func (d *door) recount(ctx context.Context, key string) error {
	d.mu.Lock()
	ended := map[session]bool{}
	for s, made := range d.sessions[key] {
		if made {
			ended[s] = true
		}
	}
	d.mu.Unlock()
	for _, name := range []string{wire.ResultStream, wire.KeptStream} {
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
