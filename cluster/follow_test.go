package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// newServer returns access to a server in this process with all streams, and a
// connection of the test's own to it. Both end with the test.
func newServer(t *testing.T) (Access, *link) {
	t.Helper()
	s, err := server.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a := Access{InProcess: s}
	l := linked(t, a)
	t.Cleanup(l.close)
	if err := l.setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	return a, l
}

// LateStore is lateStore by a connection of its own.
func LateStore(t *testing.T, a Access, stream, prefix string) (put func(key string, body []byte)) {
	l := linked(t, a)
	t.Cleanup(l.close)
	return lateStore(t, l, stream, prefix)
}

// lateStore returns a function that stores messages in a stream without
// delivering them to subscribers: for a client that has subscribed after the
// servers delivered a message and before they stored it, that is what they do.
// The stream takes the messages from another one, which renames their subjects.
func lateStore(t *testing.T, l *link, stream, prefix string) (put func(key string, body []byte)) {
	t.Helper()
	const from = "EARLIER"
	early := func(prefix string) string { return "earlier." + prefix }
	_, err := l.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: from, Subjects: []string{early(prefix) + ".>"}, Storage: jetstream.MemoryStorage})
	if err != nil {
		t.Fatal(err)
	}
	to, err := l.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	c := to.CachedInfo().Config
	c.Sources = []*jetstream.StreamSource{{Name: from, SubjectTransforms: []jetstream.SubjectTransformConfig{
		{Source: early(prefix) + ".>", Destination: prefix + ".>"},
	}}}
	if _, err := l.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return func(key string, body []byte) {
		t.Helper()
		if _, err := l.js.Publish(t.Context(), early(prefix)+"."+key, body); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLink_FollowStoredLate: follow passes on messages that the servers
// delivered before it has subscribed and stored after it has read. The rows are
// all streams that are followed, each with its reader.
func TestLink_FollowStoredLate(t *testing.T) {
	for _, row := range []struct {
		stream, prefix string
		read           func(l *link, stream, prefix string) reader
	}{
		{wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket), (*link).snapshot},
		{wire.BucketStream(wire.WorkerBucket), wire.BucketPrefix(wire.WorkerBucket), (*link).snapshot},
		{wire.CancelStream, wire.CancelPrefix, func(l *link, stream, _ string) reader { return (&replay{link: l}).read }},
	} {
		t.Run(row.stream, func(t *testing.T) {
			a, own := newServer(t)
			put := lateStore(t, own, row.stream, row.prefix)
			l := linked(t, a)
			life, end := context.WithCancel(t.Context())
			defer func() {
				end()
				l.close()
			}()
			came := make(chan string, 1<<10)
			f := followed{stream: row.stream, prefix: row.prefix, read: row.read(l, row.stream, row.prefix), reread: firstReread}
			err := l.follow(t.Context(), life, f, func(key string, body []byte, gone bool) { came <- fmt.Sprint(key, string(body), gone) })
			if err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				put(fmt.Sprint("key", i), []byte("body"))
				for want := fmt.Sprintf("key%dbodyfalse", i); <-came != want; {
				}
			}
		})
	}
}

// TestRoster_FollowStoredLate: a client learns of the functions of a worker, if
// the servers store these after it has read them.
func TestRoster_FollowStoredLate(t *testing.T) {
	a, own := newServer(t)
	put := lateStore(t, own, wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket))
	in, err := Inspect(t.Context(), "", &a)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	changed := make(chan struct{}, 1<<10)
	in.roster.changed = func() { changed <- struct{}{} }
	name, text := encoded(t, "f")
	if _, err := own.js.Publish(t.Context(), wire.BucketPrefix(wire.WorkerBucket)+".worker", advertised(t, advert{Contract: name, Places: 1})); err != nil {
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

// TestLink_FollowReadHangs: a read that does not end holds up nothing that is
// published, and one that fails is done again.
func TestLink_FollowReadHangs(t *testing.T) {
	a, own := newServer(t)
	l := linked(t, a)
	life, end := context.WithCancel(t.Context())
	hangs, failed, closed := make(chan struct{}), make(chan struct{}), make(chan struct{})
	reads := 0
	f := followed{
		stream: wire.CancelStream, prefix: wire.CancelPrefix, reread: time.Millisecond,
		read: func(ctx context.Context, take func(string, *nats.Msg)) error {
			switch reads++; reads {
			case 1:
				return nil
			case 2:
				close(failed)
				return errors.New("it fails")
			}
			close(hangs)
			<-ctx.Done()
			return ctx.Err()
		},
		close: func(context.Context) { close(closed) },
	}
	came := make(chan string, 1)
	if err := l.follow(t.Context(), life, f, func(key string, _ []byte, _ bool) { came <- key }); err != nil {
		t.Fatal(err)
	}
	<-failed
	<-hangs
	if err := own.nc.Publish(wire.CancelPrefix+".client", nil); err != nil {
		t.Fatal(err)
	}
	if got := <-came; got != "client" {
		t.Errorf("take was called with %q, want client", got)
	}
	end()
	l.close()
	<-closed
}

// TestReplay_ConsumerGone: a replay passes each message to take once, and all
// of them again when its consumer is gone.
func TestReplay_ConsumerGone(t *testing.T) {
	_, own := newServer(t)
	r := &replay{link: own}
	defer r.close(t.Context())
	read := func() (n int) {
		t.Helper()
		if err := r.read(t.Context(), func(string, *nats.Msg) { n++ }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	put := func(n int) {
		t.Helper()
		for i := range n {
			if _, err := own.js.Publish(t.Context(), wire.CancelPrefix+".client", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A server tells a consumer of a message after it has acknowledged the
	// message, so a read may miss it. The next one finds it.
	expect := func(what string, want int) {
		t.Helper()
		got := read()
		for end := time.Now().Add(time.Minute); got < want && time.Now().Before(end); time.Sleep(time.Millisecond) {
			got += read()
		}
		if got != want {
			t.Errorf("%s: %d messages, want %d", what, got, want)
		}
	}
	expect("an empty stream", 0)
	put(batchSize)
	expect("a full batch", batchSize)
	expect("nothing new", 0)
	put(2)
	expect("two new ones", 2)
	if err := own.js.DeleteConsumer(t.Context(), wire.CancelStream, r.consumer); err != nil {
		t.Fatal(err)
	}
	expect("without the consumer", batchSize+2)
	expect("and then", 0)
}

// TestReplay_ReadEnds: no consumer is left behind, whenever the context of a
// read ends: also while the servers create the consumer.
func TestReplay_ReadEnds(t *testing.T) {
	_, own := newServer(t)
	for i := range 100 {
		r := &replay{link: own}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		r.read(ctx, func(string, *nats.Msg) {})
		r.close(ctx)
		cancel()
	}
	stream, err := own.js.Stream(t.Context(), wire.CancelStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Consumers; n != 0 {
		t.Errorf("%d consumers are left", n)
	}
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
			want := []time.Duration{0, tenth, 3 * tenth, 7 * tenth, 15 * tenth, 31 * tenth, 31*tenth + heartbeat, 31*tenth + 2*heartbeat}
			if !slices.Equal(asked, want) {
				t.Errorf("asked after %v, want %v", asked, want)
			}
			if got := names(r, "f"); !slices.Equal(got, []string{name}) {
				t.Errorf("%q have the function, want %q", got, name)
			}
		})
	})
	t.Run("servers", func(t *testing.T) {
		_, own := newServer(t)
		changed := make(chan struct{}, 10)
		r := newRoster(func() { changed <- struct{}{} })
		var running sync.WaitGroup
		defer running.Wait()
		life, end := context.WithCancel(t.Context())
		defer end()
		running.Go(func() {
			r.lookUp(life, func(names []string) { own.contracts(life, names, r.contract) })
		})
		for _, function := range []string{"f", "g"} {
			name, text := encoded(t, function)
			r.worker("worker of "+function, advertised(t, advert{Contract: name, Places: 1, Number: 1}), false)
			<-changed
			if _, err := own.js.Publish(t.Context(), wire.BucketPrefix(wire.CapabilityBucket)+"."+name, text); err != nil {
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
		time.Sleep(silence - time.Second)
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
