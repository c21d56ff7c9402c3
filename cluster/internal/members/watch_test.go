package members

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

// TestView_WatchStoredLate: if the servers store a capability set after the
// first read, and do not deliver it to subscribers, the View must still get it.
func TestView_WatchStoredLate(t *testing.T) {
	a, own := newServer(t)
	put := jettest.LateStore(t, own.JS, wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket))
	changed := make(chan struct{}, 1<<10)
	view := NewView(jet.DefaultTimes(), func() { changed <- struct{}{} })
	life, end := context.WithCancel(t.Context())
	defer end()
	if err := view.Watch(t.Context(), life, dial(t, a)); err != nil {
		t.Fatal(err)
	}
	name, text := encoded(t, "f")
	if _, err := own.JS.Publish(t.Context(), wire.BucketPrefix(wire.WorkerBucket)+".worker", advertised(t, Heartbeat{Capabilities: name, Slots: 1})); err != nil {
		t.Fatal(err)
	}
	<-changed
	put(name, text)
	for <-changed; len(names(view, "f")) == 0; <-changed {
	}
}

// encoded returns an encoded capability set with one function.
func encoded(t *testing.T, function string) (name string, text []byte) {
	t.Helper()
	c := wire.CapabilitySet{Functions: map[string]string{function: "signature"}}
	text, err := wire.Marshal(&c)
	if err != nil {
		t.Fatal(err)
	}
	return c.Name(), text
}

func advertised(t *testing.T, a Heartbeat) []byte {
	t.Helper()
	text, err := wire.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// names returns the capability sets that have a function, and a slot.
func names(v *View, function string) (all []string) {
	for c := range v.Offers(function, "signature") {
		all = append(all, c)
	}
	return all
}

// TestView_LookUpSets: if a worker has an unknown capability set, the View must
// request the set from the servers at once, and repeat the request until they
// have the set.
func TestView_LookUpSets(t *testing.T) {
	t.Run("pauses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			v := NewView(jet.DefaultTimes(), func() {})
			name, text := encoded(t, "f")
			begin := time.Now()
			var asked []time.Duration
			go v.lookUpSets(t.Context(), func(names []string) {
				if len(names) != 1 || names[0] != name {
					t.Errorf("asked for %q, want %q", names, name)
				}
				if asked = append(asked, time.Since(begin)); len(asked) == 8 {
					v.addSet(name, text, false, time.Time{})
				}
			})
			v.addHeartbeat("worker", advertised(t, Heartbeat{Capabilities: name, Slots: 1, Number: 1}), false, time.Time{})
			v.addHeartbeat("bad", advertised(t, Heartbeat{Capabilities: "no token.>", Slots: 1, Number: 1}), false, time.Time{})
			time.Sleep(time.Hour)
			v.addHeartbeat("worker", advertised(t, Heartbeat{Capabilities: name, Slots: 1, Number: 2}), false, time.Time{})
			time.Sleep(time.Hour)
			const tenth = 100 * time.Millisecond
			want := []time.Duration{0, tenth, 3 * tenth, 7 * tenth, 15 * tenth, 31 * tenth, 31*tenth + wire.HeartbeatPeriod, 31*tenth + 2*wire.HeartbeatPeriod}
			if !slices.Equal(asked, want) {
				t.Errorf("asked after %v, want %v", asked, want)
			}
			if got := names(v, "f"); !slices.Equal(got, []string{name}) {
				t.Errorf("%q have the function, want %q", got, name)
			}
		})
	})
	t.Run("servers", func(t *testing.T) {
		_, own := newServer(t)
		changed := make(chan struct{}, 10)
		v := NewView(jet.DefaultTimes(), func() { changed <- struct{}{} })
		var running sync.WaitGroup
		defer running.Wait()
		life, end := context.WithCancel(t.Context())
		defer end()
		running.Go(func() {
			v.lookUpSets(life, func(names []string) { readSets(life, own, names, v.addSet) })
		})
		for _, function := range []string{"f", "g"} {
			name, text := encoded(t, function)
			v.addHeartbeat("worker of "+function, advertised(t, Heartbeat{Capabilities: name, Slots: 1, Number: 1}), false, time.Time{})
			<-changed
			if _, err := own.JS.Publish(t.Context(), wire.BucketPrefix(wire.CapabilityBucket)+"."+name, text); err != nil {
				t.Fatal(err)
			}
			for <-changed; len(names(v, function)) == 0; <-changed {
			}
		}
	})
}

// TestView_OldHeartbeat: if heartbeats of a worker arrive in the wrong order,
// an old heartbeat must not replace a newer one, and must not keep the worker
// alive.
func TestView_OldHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewView(jet.DefaultTimes(), func() {})
		says := func(number uint64, places int, draining bool) {
			v.addHeartbeat("worker", advertised(t, Heartbeat{Capabilities: "c", Slots: places, Number: number, Draining: draining}), false, time.Time{})
		}
		expect := func(what string, places int) {
			t.Helper()
			if v.Slots() != places {
				t.Errorf("%s: %d slots, want %d", what, v.Slots(), places)
			}
		}
		says(2, 3, false)
		expect("heartbeat 2", 3)
		says(1, 5, false)
		expect("heartbeat 1, late", 3)
		says(3, 3, true)
		expect("heartbeat 3, of a draining worker", 0)
		time.Sleep(wire.WorkerTimeout - time.Second)
		says(3, 3, true)
		says(2, 3, false)
		expect("heartbeat 2, read again", 0)
		if !v.Alive("worker") {
			t.Error("the worker was removed before WorkerTimeout was over")
		}
		time.Sleep(2 * time.Second)
		if v.Alive("worker") {
			t.Error("a heartbeat that was read again has kept the worker alive")
		}
		says(4, 3, false)
		expect("heartbeat 4", 3)
		v.addHeartbeat("worker", nil, true, time.Time{})
		expect("after the worker has deregistered", 0)
		says(5, 3, false)
		expect("a heartbeat after that", 0)
		v.addHeartbeat("other", advertised(t, Heartbeat{Capabilities: "c", Slots: 2}), false, time.Time{})
		v.addHeartbeat("other", advertised(t, Heartbeat{Capabilities: "c", Slots: 1}), false, time.Time{})
		expect("a worker whose heartbeats have no numbers", 1)
	})
}

// newServer returns access to a new server in this process, with all streams,
// and a connection to the server. Both are closed at the end of the test.
func newServer(t *testing.T) (jet.Access, *jet.Conn) {
	t.Helper()
	a := jet.Access{InProcess: jettest.NewServer(t)}
	return a, dial(t, a)
}

// dial returns a new connection, which is closed at the end of the test.
func dial(t *testing.T, a jet.Access) *jet.Conn {
	t.Helper()
	c, err := jet.Connect(t.Context(), "", "test", a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
