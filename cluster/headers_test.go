package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
)

// poisons are headers that make a message of an attacker look like a message
// of the servers.
var poisons = []nats.Header{
	{"Status": {"500"}}, {"Status": {"404"}}, {"Status": {"408"}}, {"Status": {"409"}, "Description": {"Consumer Deleted"}}, {"Status": {"503"}}, {"Status": {"100"}},
	{"Nats-Sequence": {"x"}}, {"Nats-Subject": {"concert.cancel.stranger"}}, {"Nats-Num-Pending": {"0"}}, {"Nats-Consumer-Stalled": {"x"}},
}

// TestServe_HeadersOfCancellations: if a client adds the headers in poisons to
// a cancellation, workers must still start and receive other cancellations.
func TestServe_HeadersOfCancellations(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	if err := cluster.Setup(t.Context(), "", 1, &access); err != nil {
		t.Fatal(err)
	}
	_, js := raw(t, s)
	for i, h := range poisons {
		for _, body := range []string{"", "session.poison"} {
			if _, err := js.PublishMsg(t.Context(), &nats.Msg{Subject: wire.CancelPrefix + ".rogue", Data: []byte(body), Header: h}); err != nil {
				t.Fatal(err)
			}
		}
		subject, body := wire.Cancellation("victim", "session", fmt.Sprint(i))
		if _, err := js.Publish(t.Context(), subject, body); err != nil {
			t.Fatal(err)
		}
	}
	victims := 0
	for _, line := range cluster.Snapshot(t, access, wire.CancelStream, wire.CancelPrefix) {
		if strings.HasPrefix(line, "victim: ") {
			victims++
		}
		if strings.HasPrefix(line, "stranger") {
			t.Errorf("%q is treated as a cancellation of another client", line)
		}
	}
	if victims != len(poisons) {
		t.Errorf("%d cancellations of the victim were read, want %d", victims, len(poisons))
	}
	serve(t, access, 1)
	if n, err := concert.Submit(t.Context(), dial(t, access), count, 4_000_001).Result(t.Context()); n == 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestServe_HeadersOfTasks: if a client adds the headers in poisons to a task,
// tasks of other clients must still run.
func TestServe_HeadersOfTasks(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 2)
	ex := dial(t, access)
	if n, err := concert.Submit(t.Context(), ex, count, 4_000_002).Result(t.Context()); n == 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	_, js := raw(t, s)
	for range 20 {
		for _, h := range poisons {
			if _, err := js.PublishMsgAsync(&nats.Msg{Subject: wire.TaskSubject(in.Workers()[0].Capabilities, "rogue"), Header: h}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // less than a lease
		if n, err := concert.Submit(ctx, ex, count, 4_000_003).Result(ctx); n == 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		cancel()
	}
	drained(t, ex)
	if n, err := in.Dead(t.Context()); n != 20*len(poisons) || err != nil {
		t.Errorf("%d dead letters, %v; want all messages that are not tasks", n, err)
	}
}

var wordy = concert.Register("cluster_test.wordy", func(_ context.Context, n int) (int, error) {
	return 0, fmt.Errorf("%w: %s", errFussy, strings.Repeat("!", n))
})

// TestServe_LongError: if an error does not fit into a message, the worker must
// shorten the error, and must continue. errors.Is must still recognize the
// error.
func TestServe_LongError(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 1)
	ex := dial(t, access)
	for _, n := range []int{10, 100 << 10, 2 << 20} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			_, err := concert.Submit(t.Context(), ex, wordy, n).Result(t.Context())
			if !errors.Is(err, errFussy) || !strings.HasPrefix(err.Error(), "not good enough: !!!!!!!!!!") || len(err.Error()) > wire.MaxMessageBytes/4 {
				t.Errorf("%d: %.100v (%d bytes)", n, err, len(err.Error()))
			}
		})
	}
	drained(t, ex)
}

// TestServe_ManyFunctions: a worker that offers hundreds of functions must run
// their tasks.
func TestServe_ManyFunctions(t *testing.T) {
	for i := range 200 {
		concert.Register(fmt.Sprint("cluster_test.one of many ", i), func(context.Context, int) (int, error) { return i, nil })
	}
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 1)
	if n, err := concert.Submit(t.Context(), dial(t, access), count, 4_000_004).Result(t.Context()); n == 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}
