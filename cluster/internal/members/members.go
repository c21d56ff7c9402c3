package members

import (
	"context"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/recent"
	"concert/cluster/internal/wire"
)

// Heartbeat is the message that a worker sends every HeartbeatPeriod.
type Heartbeat struct {
	Capabilities string    `cbor:"1,keyasint"`
	Host         string    `cbor:"2,keyasint"`
	Pid          int       `cbor:"3,keyasint"`
	Slots        int       `cbor:"4,keyasint"` // maximum number of concurrent tasks
	Running      int       `cbor:"5,keyasint"`
	Finished     int64     `cbor:"6,keyasint"`
	Failed       int64     `cbor:"7,keyasint"`
	Since        time.Time `cbor:"8,keyasint"`
	Draining     bool      `cbor:"9,keyasint,omitempty"`  // the worker is stopping and accepts no more tasks
	Number       uint64    `cbor:"10,keyasint,omitempty"` // counts the worker's heartbeats from 1 up; 0 in earlier versions
}

// View is a copy of the buckets of heartbeats and capability sets. Watch keeps
// the View up to date. Its methods are safe for concurrent use.
type View struct {
	times    jet.Times
	onChange func()        // called when workers, slots or functions have changed
	unknown  chan struct{} // signals that a worker has an unknown capability set; has a buffer of one

	mu          sync.Mutex
	sets        map[string]wire.CapabilitySet // guarded by mu: by name
	members     map[string]member             // guarded by mu: by id
	bySignature map[string][]string           // guarded by mu: names of the sets that have a function, by the function's name and the digest of its signature
	capacities  map[string]capacity           // guarded by mu: workers and slots in members, by capability set
	removed     recent.Set[string]            // guarded by mu: ids of workers that have deregistered; an id is never used again

	totalSlots atomic.Int64 // number of slots of all workers that do not drain
}

// capacity counts the workers of a capability set.
type capacity struct {
	workers int // number of workers, including those that drain
	slots   int // number of slots of the workers that do not drain
}

type member struct {
	Heartbeat
	seen  time.Time // when the last heartbeat arrived
	heard time.Time // when the worker sent the last heartbeat, if the clocks agree
}

const (
	maxSlots     = 1 << 20          // maximum number of slots of a worker; more are ignored
	maxRemoved   = 1 << 12          // maximum size of View.removed
	maxReadPause = 30 * time.Second // maximum pause between two reads of a bucket; it may be long, because workers repeat heartbeats, and lookUpSets requests unknown sets
)

// NewView returns an empty View. The View calls onChange when workers, slots or
// functions have changed.
func NewView(times jet.Times, changed func()) *View {
	return &View{
		times: times, onChange: changed, unknown: make(chan struct{}, 1), sets: map[string]wire.CapabilitySet{}, members: map[string]member{}, bySignature: map[string][]string{},
		capacities: map[string]capacity{}, removed: recent.Set[string]{Max: maxRemoved},
	}
}

// Watch returns when the View has the existing workers. After that, Watch keeps
// the View up to date until the second context (life) ends.
//
// A worker is in the View as soon as a heartbeat of the worker arrives, and at
// the latest maxReadPause after the servers have stored a heartbeat. If the
// capability set of the worker is unknown, lookUpSets requests it from the
// servers.
func (v *View) Watch(ctx, life context.Context, l *jet.Conn) error {
	for bucket, take := range map[string]func(string, []byte, bool, time.Time){wire.CapabilityBucket: v.addSet, wire.WorkerBucket: v.addHeartbeat} {
		stream, prefix := wire.BucketStream(bucket), wire.BucketPrefix(bucket)
		f := jet.Watched{Stream: stream, Prefix: prefix, Read: l.ReadAll(stream, prefix), MaxPause: maxReadPause}
		if err := l.Watch(ctx, life, f, take); err != nil {
			return err
		}
	}
	l.Background.Go(func() { v.removeSilent(life) })
	l.Background.Go(func() {
		v.lookUpSets(life, func(names []string) { readSets(life, l, names, v.addSet) })
	})
	return nil
}

// readSets requests capability sets from the servers, and calls the function
// take with each set that exists. It returns no error, because lookUpSets
// repeats the request until the sets are known.
func readSets(ctx context.Context, l *jet.Conn, names []string, take func(name string, text []byte, gone bool, stored time.Time)) {
	prefix := wire.BucketPrefix(wire.CapabilityBucket) + "."
	subjects := make([]string, len(names))
	for i, name := range names {
		subjects[i] = prefix + name
	}
	l.ReadLatest(ctx, wire.BucketStream(wire.CapabilityBucket), subjects, func(subject string, m *nats.Msg) {
		take(strings.TrimPrefix(subject, prefix), m.Data, false, time.Time{})
	})
}

// lookUpSets calls the function ask with the names of unknown capability
// sets of workers, until its context ends. While there are unknown sets,
// lookUpSets repeats the call after pauses that grow up to HeartbeatPeriod.
func (v *View) lookUpSets(life context.Context, ask func(names []string)) {
	for {
		select {
		case <-v.unknown:
		case <-life.Done():
			return
		}
		for pause := jet.MinPause; ; pause = min(2*pause, v.times.HeartbeatPeriod) {
			names := v.unknownSets()
			if len(names) == 0 {
				break
			}
			ask(names)
			select {
			case <-time.After(pause):
			case <-life.Done():
				return
			}
		}
	}
}

// unknownSets returns up to BatchSize names of unknown capability sets of
// workers.
func (v *View) unknownSets() (names []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name := range v.capacities {
		if _, known := v.sets[name]; !known && wire.ValidToken(name) && len(names) < jet.BatchSize {
			names = append(names, name)
		}
	}
	return names
}

func (v *View) addSet(name string, text []byte, gone bool, _ time.Time) {
	var c wire.CapabilitySet
	if gone || wire.Unmarshal(text, &c) != nil || c.Name() != name {
		return // a capability set never changes
	}
	v.mu.Lock()
	if _, known := v.sets[name]; !known {
		v.sets[name] = c
		for function, signature := range c.Functions {
			key := function + "\x00" + signature
			v.bySignature[key] = append(v.bySignature[key], name)
		}
	}
	v.mu.Unlock()
	v.onChange()
}

// addHeartbeat records a heartbeat of a worker, or removes the worker if
// gone is true. It ignores a heartbeat that is older than the last one,
// because jet.Conn.Watch does not keep the order. The parameter stored is
// the time at which the servers stored the heartbeat, or zero if it has just
// arrived.
func (v *View) addHeartbeat(id string, text []byte, gone bool, stored time.Time) {
	var a Heartbeat
	broken := !gone && wire.Unmarshal(text, &a) != nil
	a.Slots = min(max(a.Slots, 0), maxSlots)
	v.mu.Lock()
	before, known := v.members[id]
	if v.removed.Has(id) || known && !gone && !broken && a.Number != 0 && a.Number <= before.Number {
		v.mu.Unlock()
		return
	}
	if known {
		v.countLocked(before.Heartbeat, -1)
	}
	if gone {
		v.removed.Add(id)
	}
	_, understood := v.sets[a.Capabilities]
	if gone || broken {
		delete(v.members, id)
	} else {
		now := time.Now()
		heard := now
		if !stored.IsZero() && stored.Before(now) { // the clocks of the servers may differ
			heard = stored
		}
		v.members[id] = member{a, now, heard}
		v.countLocked(a, 1)
	}
	v.mu.Unlock()
	if !gone && !broken && !understood {
		select {
		case v.unknown <- struct{}{}:
		default:
		}
	}
	if !known || before.Slots != a.Slots || before.Draining != a.Draining {
		v.onChange()
	}
}

// removeSilent removes workers that have sent no heartbeat for WorkerTimeout.
// It checks every HeartbeatPeriod. If this process got no CPU time for a while,
// removeSilent skips one check. Then the View first receives the heartbeats
// that have arrived in this time.
func (v *View) removeSilent(life context.Context) {
	tick := time.NewTicker(v.times.HeartbeatPeriod)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-life.Done():
			return
		}
		stalled := time.Since(last) > 2*v.times.HeartbeatPeriod
		if last = time.Now(); stalled {
			tick.Reset(v.times.HeartbeatPeriod)
			continue
		}
		v.mu.Lock()
		gone := false
		maps.DeleteFunc(v.members, func(_ string, s member) bool {
			silent := time.Since(s.seen) > v.times.WorkerTimeout
			if silent {
				gone = true
				v.countLocked(s.Heartbeat, -1)
			}
			return silent
		})
		v.mu.Unlock()
		if gone {
			v.onChange()
		}
	}
}

// countLocked adds a worker to the capacity of its capability set, or removes
// the worker if n is -1. Because of these sums, a heartbeat takes the same time
// for any number of workers.
func (v *View) countLocked(w Heartbeat, n int) {
	s := v.capacities[w.Capabilities]
	s.workers += n
	if !w.Draining {
		s.slots += n * w.Slots
		v.totalSlots.Add(int64(n * w.Slots))
	}
	if v.capacities[w.Capabilities] = s; s.workers == 0 {
		delete(v.capacities, w.Capabilities)
	}
}

// Offers yields the capability sets that have a function and slots for it, with
// the number of their slots. The loop body must not call methods of the View.
func (v *View) Offers(function, signature string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		v.mu.Lock()
		defer v.mu.Unlock()
		for _, c := range v.bySignature[function+"\x00"+signature] {
			if n := v.capacities[c].slots; n > 0 && !yield(c, n) {
				return
			}
		}
	}
}

// HasWorkers reports whether a capability set has workers.
func (v *View) HasWorkers(set string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.capacities[set].workers > 0
}

// Alive reports whether a worker has sent a heartbeat within WorkerTimeout.
func (v *View) Alive(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	w, known := v.members[id]
	return known && time.Since(w.seen) <= v.times.WorkerTimeout
}

// Slots returns the number of slots of all workers that do not drain.
func (v *View) Slots() int { return int(v.totalSlots.Load()) }

// Count returns the number of all workers, and the number of workers that
// ran tasks at their last heartbeats.
func (v *View) Count() (workers, busy int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, m := range v.members {
		if m.Running > 0 {
			busy++
		}
	}
	return len(v.members), busy
}

// Worker is a worker that has sent a heartbeat within the last seconds.
type Worker struct {
	ID string
	Heartbeat
	Heard     time.Time         // when the servers received the last heartbeat, if the clocks agree
	Functions map[string]string // of its capability set; nil if the set is not known
}

// Workers returns the workers, in no order.
func (v *View) Workers() []Worker {
	v.mu.Lock()
	defer v.mu.Unlock()
	all := make([]Worker, 0, len(v.members))
	for id, m := range v.members {
		all = append(all, Worker{id, m.Heartbeat, m.heard, v.sets[m.Capabilities].Functions})
	}
	return all
}
