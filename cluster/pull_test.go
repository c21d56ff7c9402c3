package cluster

import (
	"errors"
	"fmt"
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

// TestLink_PullWordFirst: messages that arrive after the servers' word that their
// request is over are taken. Servers with replicas send both in this order.
func TestLink_PullWordFirst(t *testing.T) {
	a, own := newServer(t)
	stream, err := own.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	l := linked(t, a)
	api := l.api
	l.api = "FAKE."
	for _, row := range []struct {
		word   string // status and description
		unsent string
		want   int // messages after the word, of a request for 3
	}{
		{"409 Batch Completed", "0", 3},
		{"409 Message Size Exceeds MaxBytes", "1", 2},
		{"408 Request Timeout", "2", 1},
		{"408 Request Timeout", "3", 0},
		{"404 No Messages", "", 0},
	} {
		t.Run(row.word+" "+row.unsent, func(t *testing.T) {
			sub, err := own.nc.Subscribe("FAKE.>", func(m *nats.Msg) {
				status, description, _ := strings.Cut(row.word, " ")
				header := nats.Header{"Status": {status}, "Description": {description}}
				if row.unsent != "" {
					header["Nats-Pending-Messages"] = []string{row.unsent}
				}
				own.nc.PublishMsg(&nats.Msg{Subject: m.Reply, Header: header})
				if row.want > 0 {
					own.nc.PublishRequest(strings.Replace(m.Subject, "FAKE.", api, 1), m.Reply, fmt.Appendf(nil, `{"batch":%d}`, row.want))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Unsubscribe()
			if err := own.nc.Flush(); err != nil {
				t.Fatal(err)
			}
			for range row.want {
				if _, err := own.js.Publish(t.Context(), "s", []byte("task")); err != nil {
					t.Fatal(err)
				}
			}
			got := 0
			err = l.pull(t.Context(), "S", "C", request{n: 3, bytes: 1 << 20, lives: time.Minute}, func(*message) { got++ }, nil)
			if got != row.want || err != nil {
				t.Errorf("pull takes %d messages, %v, want %d", got, err, row.want)
			}
		})
	}
}
