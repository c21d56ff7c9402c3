package jet

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// TestPull_LateMessages: if messages arrive after their request has timed
// out, Pull must call its argument late with these messages, because no
// other worker gets them before their leases end. If the consumer was
// created again in the meantime, Pull must drop the messages.
func TestPull_LateMessages(t *testing.T) {
	t.Parallel()
	a, own := newServer(t)
	stream, err := own.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	put := func(n int) {
		t.Helper()
		for range n {
			if _, err := own.JS.Publish(t.Context(), "s", []byte("task")); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The requests go to a subject of the test, which forwards them later.
	c := dial(t, a)
	api := c.api
	c.api = "SLOW."
	requests := make(chan *nats.Msg, 10)
	sub, err := own.NC.ChanSubscribe("SLOW.>", requests)
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Unsubscribe()
	if err := own.NC.Flush(); err != nil {
		t.Fatal(err)
	}
	early, late := make(chan *Message, 10), make(chan *Message, 10)
	pull := func() (forward func()) {
		t.Helper()
		err := c.Pull(t.Context(), "S", "C", PullRequest{N: 3, Expires: time.Second / 10}, func(m *Message) { early <- m }, func(m *Message) { late <- m })
		if !errors.Is(err, nats.ErrTimeout) {
			t.Fatalf("pull without an answer: %v, want ErrTimeout", err)
		}
		request := <-requests
		return func() {
			t.Helper()
			to := strings.Replace(request.Subject, "SLOW.", api, 1)
			if err := own.NC.PublishRequest(to, request.Reply, request.Data); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(3)
	pull()()
	for seq := uint64(1); seq <= 3; seq++ {
		m := <-late
		if m.Meta.Sequence.Stream != seq || string(m.Data()) != "task" {
			t.Errorf("late message %d has the sequence number %d and the content %q", seq, m.Meta.Sequence.Stream, m.Data())
		}
		m.Ack(AckDone)
	}
	forward := pull()
	c.generation.Add(1) // as if the consumer had been created again, with other sequence numbers
	put(1)
	forward()
	c.Close() // returns when no message is being received
	if len(early) > 0 || len(late) > 0 {
		t.Errorf("Pull received %d messages in time, and %d late messages of an earlier consumer; want none", len(early), len(late))
	}
}

// TestPull_MessagesAfterStatus: if the status of a request arrives before
// messages of the request, Pull must wait for these messages. Servers with
// replicas send in this order.
func TestPull_MessagesAfterStatus(t *testing.T) {
	a, own := newServer(t)
	stream, err := own.JS.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{Durable: "C", AckPolicy: jetstream.AckExplicitPolicy}); err != nil {
		t.Fatal(err)
	}
	c := dial(t, a)
	api := c.api
	c.api = "FAKE."
	for _, row := range []struct {
		word   string // status and description
		unsent string
		want   int // number of messages after the status; each request is for 3 messages
	}{
		{"409 Batch Completed", "0", 3},
		{"409 Message Size Exceeds MaxBytes", "1", 2},
		{"408 Request Timeout", "2", 1},
		{"408 Request Timeout", "3", 0},
		{"404 No Messages", "", 0},
	} {
		t.Run(row.word+" "+row.unsent, func(t *testing.T) {
			sub, err := own.NC.Subscribe("FAKE.>", func(m *nats.Msg) {
				status, description, _ := strings.Cut(row.word, " ")
				header := nats.Header{"Status": {status}, "Description": {description}}
				if row.unsent != "" {
					header["Nats-Pending-Messages"] = []string{row.unsent}
				}
				own.NC.PublishMsg(&nats.Msg{Subject: m.Reply, Header: header})
				if row.want > 0 {
					own.NC.PublishRequest(strings.Replace(m.Subject, "FAKE.", api, 1), m.Reply, fmt.Appendf(nil, `{"batch":%d}`, row.want))
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			defer sub.Unsubscribe()
			if err := own.NC.Flush(); err != nil {
				t.Fatal(err)
			}
			for range row.want {
				if _, err := own.JS.Publish(t.Context(), "s", []byte("task")); err != nil {
					t.Fatal(err)
				}
			}
			got := 0
			err = c.Pull(t.Context(), "S", "C", PullRequest{N: 3, Bytes: 1 << 20, Expires: time.Minute}, func(*Message) { got++ }, nil)
			if got != row.want || err != nil {
				t.Errorf("Pull received %d messages, error %v, want %d messages", got, err, row.want)
			}
		})
	}
}

// TestReceive_StatusFirst: if the status of a request overtakes messages, the
// request must be over only when all messages that the servers have sent have
// arrived. The status contains the number of messages that the servers have not
// sent.
func TestReceive_StatusFirst(t *testing.T) {
	const none = ""
	status := func(code, pending string) *nats.Msg {
		m := &nats.Msg{Header: nats.Header{"Status": {code}, "Description": {"Batch Completed"}}}
		if pending != none {
			m.Header.Set("Nats-Pending-Messages", pending)
		}
		return m
	}
	task := func() *nats.Msg { return &nats.Msg{Sub: new(nats.Subscription), Reply: "$JS.ACK.S.C.1.1.1.0.0"} }
	for _, consumer := range []struct {
		name   string
		answer []*nats.Msg
		want   int
	}{
		{"the status is last", []*nats.Msg{task(), task(), status("408", "1")}, 2},
		{"the status is between", []*nats.Msg{task(), status("408", "1"), task()}, 2},
		{"the status is first", []*nats.Msg{status("408", "1"), task(), task()}, 2},
		{"all were sent", []*nats.Msg{status("409", "0"), task(), task(), task()}, 3},
		{"none was sent", []*nats.Msg{status("408", "3")}, 0},
		{"the number is larger than the request", []*nats.Msg{status("408", "9")}, 0},
		{"the status has no number", []*nats.Msg{task(), status("404", none)}, 1},
		{"the number is negative", []*nats.Msg{task(), status("408", "-1")}, 1},
		{"the number is a word", []*nats.Msg{task(), status("408", "many")}, 1},
	} {
		t.Run(consumer.name, func(t *testing.T) {
			c, left, n := new(Conn), remaining{messages: 3}, 0
			for i, m := range consumer.answer {
				if !left.expected() {
					t.Errorf("the request is over before answer %d", i)
				}
				if err := c.receive(m, &left, func(*Message) { n++ }); err != nil {
					t.Fatal(err)
				}
			}
			if left.expected() || left.err != nil || n != consumer.want {
				t.Errorf("more messages expected: %t, error %v, %d messages; want false, <nil>, %d messages", left.expected(), left.err, n, consumer.want)
			}
		})
	}
}
