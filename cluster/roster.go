package cluster

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// advert is what a worker says of itself every few seconds.
type advert struct {
	Contract string    `cbor:"1,keyasint"`
	Host     string    `cbor:"2,keyasint"`
	Pid      int       `cbor:"3,keyasint"`
	Places   int       `cbor:"4,keyasint"` // tasks at a time
	Running  int       `cbor:"5,keyasint"`
	Finished int64     `cbor:"6,keyasint"`
	Failed   int64     `cbor:"7,keyasint"`
	Since    time.Time `cbor:"8,keyasint"`
	Draining bool      `cbor:"9,keyasint,omitempty"`  // it takes no more
	Number   uint64    `cbor:"10,keyasint,omitempty"` // of the worker's adverts, from 1: the highest is the newest; 0 from workers that do not count them
}

// roster is what is known of the workers: a copy of the two buckets, kept up to
// date.
type roster struct {
	changed func()        // is told
	unknown chan struct{} // has room for one: a worker has a contract that is not known

	mu        sync.Mutex
	contracts map[string]wire.CapabilitySet // guarded by mu: by name
	workers   map[string]seen               // guarded by mu: by id
	offered   map[string][]string           // guarded by mu: contracts that have a function, by name and digest of its signature
	staff     map[string]staff              // guarded by mu: by contract, of what workers says
	departed  recent[string]                // guarded by mu: workers that have deregistered; their ids are never used again

	total atomic.Int64 // places of all
}

// staff is the workers of a contract.
type staff struct {
	workers int // those that drain included
	places  int // of those that do not
}

type seen struct {
	advert
	at time.Time // by this process's clock
}

const (
	mostPlaces   = 1 << 20          // that a worker is believed to have
	mostDeparted = 1 << 12          // ids of workers that have deregistered
	rosterReread = 30 * time.Second // the longest pause between two reads: each heartbeat repeats an advert, and unknown contracts are looked up
)

func newRoster(changed func()) *roster {
	return &roster{
		changed: changed, unknown: make(chan struct{}, 1), contracts: map[string]wire.CapabilitySet{}, workers: map[string]seen{}, offered: map[string][]string{},
		staff: map[string]staff{}, departed: recent[string]{most: mostDeparted},
	}
}

// follow watches the workers until life ends. It returns once it knows those
// that are there.
//
// A worker is known as soon as one of its adverts arrives, which it sends every
// heartbeat, and at the latest rosterReread after the servers have stored one.
// Its functions are known as soon as it is itself: if they are not, the servers
// are asked for them, see lookUp.
func (r *roster) follow(ctx, life context.Context, l *jet.Conn) error {
	for bucket, take := range map[string]func(string, []byte, bool){wire.CapabilityBucket: r.contract, wire.WorkerBucket: r.worker} {
		stream, prefix := wire.BucketStream(bucket), wire.BucketPrefix(bucket)
		f := jet.Watched{Stream: stream, Prefix: prefix, Read: l.ReadAll(stream, prefix), MaxPause: rosterReread}
		if err := l.Watch(ctx, life, f, take); err != nil {
			return err
		}
	}
	l.Background.Go(func() { r.age(life) })
	l.Background.Go(func() {
		r.lookUp(life, func(names []string) { readContracts(life, l, names, r.contract) })
	})
	return nil
}

// readContracts asks the servers for contracts, and calls take with those that they
// have. It reports no error: the caller asks again until the contracts are
// known.
func readContracts(ctx context.Context, l *jet.Conn, names []string, take func(name string, text []byte, gone bool)) {
	prefix := wire.BucketPrefix(wire.CapabilityBucket) + "."
	subjects := make([]string, len(names))
	for i, name := range names {
		subjects[i] = prefix + name
	}
	l.ReadLatest(ctx, wire.BucketStream(wire.CapabilityBucket), subjects, func(subject string, m *nats.Msg) {
		take(strings.TrimPrefix(subject, prefix), m.Data, false)
	})
}

// lookUp calls ask with the contracts that workers have and that are not known,
// until life ends: at once, and again after a pause that grows up to a
// heartbeat as long as there are any.
func (r *roster) lookUp(life context.Context, ask func(names []string)) {
	for {
		select {
		case <-r.unknown:
		case <-life.Done():
			return
		}
		for pause := jet.MinPause; ; pause = min(2*pause, jet.HeartbeatPeriod) {
			names := r.unknownContracts()
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

// unknownContracts returns up to BatchSize contracts that workers have and that
// are not known.
func (r *roster) unknownContracts() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.staff {
		if _, known := r.contracts[name]; !known && wire.ValidToken(name) && len(names) < jet.BatchSize {
			names = append(names, name)
		}
	}
	return names
}

func (r *roster) contract(name string, text []byte, gone bool) {
	var c wire.CapabilitySet
	if gone || wire.Unmarshal(text, &c) != nil || c.Name() != name {
		return // a contract is for good
	}
	r.mu.Lock()
	if _, known := r.contracts[name]; !known {
		r.contracts[name] = c
		for function, signature := range c.Functions {
			key := function + "\x00" + signature
			r.offered[key] = append(r.offered[key], name)
		}
	}
	r.mu.Unlock()
	r.changed()
}

// worker enters an advert of a worker, or removes the worker. It ignores an
// advert that is older than the last one, as follow of link does not keep the
// order.
func (r *roster) worker(id string, text []byte, gone bool) {
	var a advert
	broken := !gone && wire.Unmarshal(text, &a) != nil
	a.Places = min(max(a.Places, 0), mostPlaces)
	r.mu.Lock()
	before, known := r.workers[id]
	if r.departed.has(id) || known && !gone && !broken && a.Number != 0 && a.Number <= before.Number {
		r.mu.Unlock()
		return
	}
	if known {
		r.count(before.advert, -1)
	}
	if gone {
		r.departed.add(id)
	}
	_, understood := r.contracts[a.Contract]
	if gone || broken {
		delete(r.workers, id)
	} else {
		r.workers[id] = seen{a, time.Now()}
		r.count(a, 1)
	}
	r.mu.Unlock()
	if !gone && !broken && !understood {
		select {
		case r.unknown <- struct{}{}:
		default:
		}
	}
	if !known || before.Places != a.Places || before.Draining != a.Draining {
		r.changed()
	}
}

// age forgets workers that have been silent. It does so at regular times, but
// not right after this process had no processor for a while: what the workers
// said in that time has arrived, and is read before the next time.
func (r *roster) age(life context.Context) {
	tick := time.NewTicker(jet.HeartbeatPeriod)
	defer tick.Stop()
	for last := time.Now(); ; {
		select {
		case <-tick.C:
		case <-life.Done():
			return
		}
		stalled := time.Since(last) > 2*jet.HeartbeatPeriod
		if last = time.Now(); stalled {
			tick.Reset(jet.HeartbeatPeriod)
			continue
		}
		r.mu.Lock()
		gone := false
		maps.DeleteFunc(r.workers, func(_ string, s seen) bool {
			silent := time.Since(s.at) > jet.WorkerTimeout
			if silent {
				gone = true
				r.count(s.advert, -1)
			}
			return silent
		})
		r.mu.Unlock()
		if gone {
			r.changed()
		}
	}
}

// count counts a worker among the staff of its contract: n is 1, or -1 when it
// is not there any more. All of them are never counted anew, as each of
// thousands of workers says every few seconds how it gets on. The caller holds
// mu.
func (r *roster) count(w advert, n int) {
	s := r.staff[w.Contract]
	s.workers += n
	if !w.Draining {
		s.places += n * w.Places
		r.total.Add(int64(n * w.Places))
	}
	if r.staff[w.Contract] = s; s.workers == 0 {
		delete(r.staff, w.Contract)
	}
}

// offers yields the contracts that have a function and places for it, with the
// number of these. It must not be called by what it yields to.
func (r *roster) offers(function, signature string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, c := range r.offered[function+"\x00"+signature] {
			if n := r.staff[c].places; n > 0 && !yield(c, n) {
				return
			}
		}
	}
}

// staffed reports whether a contract has workers.
func (r *roster) staffed(contract string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.staff[contract].workers > 0
}

// alive reports whether a worker has been heard of lately.
func (r *roster) alive(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w, known := r.workers[id]
	return known && time.Since(w.at) <= jet.WorkerTimeout
}

// places is how many tasks all workers run at a time.
func (r *roster) places() int { return int(r.total.Load()) }

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// offered is the contract of a worker that offers functions of these names; of
// nil all that are registered, but not what is only declared.
func offered(names []string) (wire.CapabilitySet, error) {
	c := wire.CapabilitySet{Functions: map[string]string{}}
	if names == nil {
		for _, f := range concert.Functions() {
			if !f.Declared() {
				c.Functions[f.Name()] = wire.Digest(f.Signature())
			}
		}
		return c, nil
	}
	for _, name := range names {
		f, err := concert.Find(name)
		if err != nil {
			return c, fmt.Errorf("cluster: ServeOptions.Functions: %w", err)
		}
		c.Functions[name] = wire.Digest(f.Signature())
	}
	return c, nil
}
