package cluster

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/jet/jettest"
	"concert/cluster/internal/wire"
)

// TestRoster_FollowStoredLate: a client learns of the functions of a worker, if
// the servers store these after it has read them.
func TestRoster_FollowStoredLate(t *testing.T) {
	a, own := newTestServer(t)
	put := jettest.LateStore(t, own.JS, wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket))
	in, err := Inspect(t.Context(), "", &a)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	changed := make(chan struct{}, 1<<10)
	in.roster.changed = func() { changed <- struct{}{} }
	name, text := encoded(t, "f")
	if _, err := own.JS.Publish(t.Context(), wire.BucketPrefix(wire.WorkerBucket)+".worker", advertised(t, advert{Contract: name, Places: 1})); err != nil {
		t.Fatal(err)
	}
	<-changed
	put(name, text)
	for <-changed; len(names(in.roster, "f")) == 0; <-changed {
	}
}

// encoded is a contract with a function.
func encoded(t *testing.T, function string) (name string, text []byte) {
	t.Helper()
	c := wire.CapabilitySet{Functions: map[string]string{function: "signature"}}
	text, err := wire.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	return c.Name(), text
}

func advertised(t *testing.T, a advert) []byte {
	t.Helper()
	text, err := wire.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// names is the contracts that have a function, and places for it.
func names(r *roster, function string) (all []string) {
	for c := range r.offers(function, "signature") {
		all = append(all, c)
	}
	return all
}

// TestRoster_LookUp: the servers are asked for a contract that a worker has and
// that is not known: at once, and until they have it.
func TestRoster_LookUp(t *testing.T) {
	t.Run("pauses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRoster(func() {})
			name, text := encoded(t, "f")
			begin := time.Now()
			var asked []time.Duration
			go r.lookUp(t.Context(), func(names []string) {
				if len(names) != 1 || names[0] != name {
					t.Errorf("asked for %q, want %q", names, name)
				}
				if asked = append(asked, time.Since(begin)); len(asked) == 8 {
					r.contract(name, text, false)
				}
			})
			r.worker("worker", advertised(t, advert{Contract: name, Places: 1, Number: 1}), false)
			r.worker("bad", advertised(t, advert{Contract: "no token.>", Places: 1, Number: 1}), false)
			time.Sleep(time.Hour)
			r.worker("worker", advertised(t, advert{Contract: name, Places: 1, Number: 2}), false)
			time.Sleep(time.Hour)
			const tenth = 100 * time.Millisecond
			want := []time.Duration{0, tenth, 3 * tenth, 7 * tenth, 15 * tenth, 31 * tenth, 31*tenth + jet.HeartbeatPeriod, 31*tenth + 2*jet.HeartbeatPeriod}
			if !slices.Equal(asked, want) {
				t.Errorf("asked after %v, want %v", asked, want)
			}
			if got := names(r, "f"); !slices.Equal(got, []string{name}) {
				t.Errorf("%q have the function, want %q", got, name)
			}
		})
	})
	t.Run("servers", func(t *testing.T) {
		_, own := newTestServer(t)
		changed := make(chan struct{}, 10)
		r := newRoster(func() { changed <- struct{}{} })
		var running sync.WaitGroup
		defer running.Wait()
		life, end := context.WithCancel(t.Context())
		defer end()
		running.Go(func() {
			r.lookUp(life, func(names []string) { readContracts(life, own, names, r.contract) })
		})
		for _, function := range []string{"f", "g"} {
			name, text := encoded(t, function)
			r.worker("worker of "+function, advertised(t, advert{Contract: name, Places: 1, Number: 1}), false)
			<-changed
			if _, err := own.JS.Publish(t.Context(), wire.BucketPrefix(wire.CapabilityBucket)+"."+name, text); err != nil {
				t.Fatal(err)
			}
			for <-changed; len(names(r, function)) == 0; <-changed {
			}
		}
	})
}

// TestRoster_OldAdvert: what a worker has said before does not count after what
// it has said last, in whatever order both come.
func TestRoster_OldAdvert(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoster(func() {})
		says := func(number uint64, places int, draining bool) {
			r.worker("worker", advertised(t, advert{Contract: "c", Places: places, Number: number, Draining: draining}), false)
		}
		expect := func(what string, places int) {
			t.Helper()
			if r.places() != places {
				t.Errorf("%s: %d places, want %d", what, r.places(), places)
			}
		}
		says(2, 3, false)
		expect("the second advert", 3)
		says(1, 5, false)
		expect("the first one, late", 3)
		says(3, 3, true)
		expect("the third one", 0)
		time.Sleep(jet.WorkerTimeout - time.Second)
		says(3, 3, true)
		says(2, 3, false)
		expect("the second one, read again", 0)
		if !r.alive("worker") {
			t.Error("the worker is gone before it was silent for long enough")
		}
		time.Sleep(2 * time.Second)
		if r.alive("worker") {
			t.Error("an advert that was read again has kept the worker alive")
		}
		says(4, 3, false)
		expect("the fourth one", 3)
		r.worker("worker", nil, true)
		expect("after its end", 0)
		says(5, 3, false)
		expect("an advert after its end", 0)
		r.worker("other", advertised(t, advert{Contract: "c", Places: 2}), false)
		r.worker("other", advertised(t, advert{Contract: "c", Places: 1}), false)
		expect("a worker that does not count its adverts", 1)
	})
}

// newTestServer returns access to a server in this process with all streams,
// and a connection of the test to it. Both end with the test.
func newTestServer(t *testing.T) (Access, *jet.Conn) {
	t.Helper()
	a := Access{InProcess: jettest.NewServer(t)}
	c := linked(t, a)
	t.Cleanup(c.Close)
	return a, c
}
