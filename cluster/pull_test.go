package cluster

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestLink_PullLate: messages that arrive after their request was given up are
// taken, as no other worker gets them before their lease ends.
func TestLink_PullLate(t *testing.T) {
	a, own := newServer(t)
	stream, err := own.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		t.Helper()
		for range n {
			if _, err := own.js.Publish(t.Context(), "s", []byte("task")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The test holds requests up: they go where it listens.
	l := linked(t, a)
	api := l.api
	l.api = "SLOW."
	requests := make(chan *nats.Msg, 10)
	sub, err := own.nc.ChanSubscribe("SLOW.>", requests)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := own.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	early, late := make(chan *message, 10), make(chan *message, 10)
	pull := func() (forward func()) {
		t.Helper()
		err := l.pull(t.Context(), "S", "C", request{n: 3, lives: time.Second / 10}, func(m *message) { early <- m }, func(m *message) { late <- m })
		if !errors.Is(err, nats.ErrTimeout) {
			t.Fatalf("pull without an answer: %v, want ErrTimeout", err)
		}
		request := <-requests
		return func() {
			t.Helper()
			to := strings.Replace(request.Subject, "SLOW.", api, 1)
			if err := own.nc.PublishRequest(to, request.Reply, request.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(3)
	pull()()
	for seq := uint64(1); seq <= 3; seq++ {
		m := <-late
		if m.meta.Sequence.Stream != seq || string(m.data()) != "task" {
			t.Errorf("late message %d is %d, %q", seq, m.meta.Sequence.Stream, m.data())
		}
		m.say(acknowledged)
	}
	forward := pull()
	l.era.Add(1) // the consumer is another one now, in which numbers mean others
	put(1)
	forward()
	l.close() // waits until nothing is taken any more
	if len(early) > 0 || len(late) > 0 {
		t.Errorf("%d messages early, and %d of another consumer late", len(early), len(late))
	}
}
