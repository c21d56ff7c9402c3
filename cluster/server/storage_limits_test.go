package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"concert/cluster/internal/wire"
)

// bounded returns a server with low limits, a client, and two workers.
func bounded(t *testing.T) (s *Server, ann, box, rogue *keyHolder) {
	t.Helper()
	k, err := NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ann, box, rogue = holder(t, k, Client, "ann"), holder(t, k, Worker, "box"), holder(t, k, Worker, "rogue")
	s, err = New(&Options{Listen: "127.0.0.1:0", Keyring: k, Tasks: 100, Parts: 100})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.Setup(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*keyHolder{ann, box, rogue} {
		v.connect(s)
	}
	return s, ann, box, rogue
}

// stores publishes a message and waits until it is stored.
func (v *keyHolder) stores(subject, text string) {
	v.Helper()
	if _, err := v.nc.Request(subject, []byte(text), patience); err != nil {
		v.Fatal(err)
	}
}

// subjects returns the subjects of a stream that match a filter.
func (s *Server) subjects(t *testing.T, stream, filter string) map[string]uint64 {
	t.Helper()
	st, err := s.service.js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	info, err := st.Info(t.Context(), jetstream.WithSubjectFilter(filter))
	if err != nil {
		t.Fatal(err)
	}
	return info.State.Subjects
}

// fall waits until a stream has at most max subjects that match a filter.
func (s *Server) fall(t *testing.T, stream, filter string, max int) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		n := len(s.subjects(t, stream, filter))
		if n <= max {
			return
		}
		if time.Since(begin) > patience {
			t.Fatalf("%d subjects like %s, want %d at most", n, filter, max)
		}
	}
}

// TestFlood_CapabilitySets: if a client sends tasks for many invented
// capability sets, the servers must store at most about Options.Tasks of these
// tasks.
func TestFlood_CapabilitySets(t *testing.T) {
	s, ann, _, _ := bounded(t)
	ann.stores(wire.TaskSubject("old", ann.public), "task")
	for i := range 400 {
		ann.stores(wire.TaskSubject(fmt.Sprint("invented", i), ann.public), "task")
	}
	s.fall(t, wire.TaskStream, wire.TaskSubject("*", ann.public), 125)
	if n := len(s.subjects(t, wire.TaskStream, wire.TaskSubject("invented399", ann.public))); n != 1 {
		t.Errorf("the newest task is stored %d times, want once", n)
	}
}

// TestFlood_Outputs: if a worker stores too many parts of large results for a
// client, the servers must remove parts of this worker, and no parts of another
// worker.
func TestFlood_Outputs(t *testing.T) {
	s, ann, box, rogue := bounded(t)
	subject := wire.BlobSubject(wire.ResultName(ann.public, box.public), 0)
	box.stores(subject, "part")
	name := wire.ResultName(ann.public, rogue.public)
	for i := range 400 {
		rogue.stores(wire.BlobSubject(name, i), "part")
	}
	s.fall(t, wire.BlobStream, "concert.output."+ann.public+"."+rogue.public+".>", 125)
	if n := len(s.subjects(t, wire.BlobStream, subject)); n != 1 {
		t.Errorf("the part of the other worker is stored %d times, want once", n)
	}
	// If the client stores parts with the names of invented keys, the servers
	// must remove these parts, too.
	for i := range 600 {
		ann.stores(wire.BlobSubject(wire.ResultName(ann.public, fmt.Sprint("invented", i)), 0), "part")
	}
	s.fall(t, wire.BlobStream, "concert.output."+ann.public+".>", 400)
}

// TestLimits_KeepNewest: if the oldest results of a client are removed, the
// session of this client must receive the client's other results. The session
// of another client must receive all of its results.
func TestLimits_KeepNewest(t *testing.T) {
	s, rude, other := fourSessions(t)
	consume := func(v *keyHolder) jetstream.Consumer {
		t.Helper()
		if got := v.handshake(wire.ResultStream, v.public); got != "" {
			t.Fatal(got)
		}
		c, err := v.js.Consumer(t.Context(), wire.ResultStream, v.public)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	sessions := map[*keyHolder]jetstream.Consumer{rude: consume(rude), other: consume(other)}
	for i := range 20 {
		for v := range sessions {
			subject := wire.ResultSubject(wire.TaskID{Client: v.public, Session: v.public, Number: fmt.Sprint(i)})
			if _, err := s.service.js.Publish(t.Context(), subject, []byte("result")); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(v *keyHolder, n int) (numbers []string) {
		t.Helper()
		batch, err := sessions[v].Fetch(n, jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		for m := range batch.Messages() {
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
			numbers = append(numbers, m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:])
		}
		return numbers
	}
	if got := fmt.Sprint(take(rude, 2)); got != "[0 1]" {
		t.Fatalf("the client gets the results %s, want [0 1]", got)
	}
	if err := s.keepNewest(t.Context(), rude.public, wire.ResultStream, "concert.result."+rude.public+".>", 5); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(take(rude, 5)); got != "[15 16 17 18 19]" {
		t.Errorf("the client whose results were removed gets %s", got)
	}
	if got := len(take(other, 20)); got != 20 {
		t.Errorf("the other client gets %d results, want 20", got)
	}
}
