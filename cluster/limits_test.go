package cluster_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
	"concert/executor"
)

// raw returns a connection to a server in this process. The connection may
// publish any message.
func raw(t *testing.T, s *server.Server) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

// TestInspect_ControlCharacters: if an attacker writes control characters into
// dead letters or subjects, the results of Inspector must not contain them.
func TestInspect_ControlCharacters(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	const evil = "\x1b]0;owned\x07\x1b[2J\u202ename"
	e := wire.Envelope{ID: wire.TaskID{Client: "c", Session: "s", Number: "1"}, Function: evil, Signature: "s", Session: "s", Try: "1"}
	bodies, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: wire.TaskSubject("contract", "c")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	body := bodies[0]
	_, js := raw(t, s)
	letter := &nats.Msg{Subject: "concert.dead.contract.c.worker", Data: body, Header: nats.Header{"Concert-Reason": {evil}, "Concert-Worker": {evil + strings.Repeat("x", 5000)}}}
	if _, err := js.PublishMsg(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "concert.task."+evil[:9]+".c", body); err != nil {
		t.Fatal(err)
	}
	letters, err := in.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 1 {
		t.Fatalf("%d letters, %v", len(letters), err)
	}
	queues, err := in.Queues(t.Context())
	if err != nil || len(queues) != 1 {
		t.Fatalf("%d queues, %v", len(queues), err)
	}
	for _, text := range []string{fmt.Sprint(letters[0]), fmt.Sprint(queues[0])} {
		if strings.ContainsAny(text, "\x1b\x07\u202e") || !strings.Contains(text, "owned") && !strings.Contains(text, "]0;") || len(text) > 3000 {
			t.Errorf("%q", text)
		}
	}
	if letters[0].Function == "" {
		t.Error("the dead letter is a task, and has no function")
	}
}

// TestDial_ManyCapabilitySets: if the capability sets have more bytes than
// servers deliver for one request, a client must still receive all of them.
func TestDial_ManyCapabilitySets(t *testing.T) {
	s := embedded(t, "")
	if err := cluster.Setup(t.Context(), "", 1, &cluster.Access{InProcess: s}); err != nil {
		t.Fatal(err)
	}
	_, js := raw(t, s)
	kv, err := js.KeyValue(t.Context(), wire.CapabilityBucket)
	if err != nil {
		t.Fatal(err)
	}
	const n = 80 // each has nearly a megabyte; servers deliver 64 MiB for a request
	for i := range n {
		if _, err := kv.Put(t.Context(), fmt.Sprint("contract", i), make([]byte, 1<<20-1000)); err != nil {
			t.Fatal(err)
		}
	}
	if got := cluster.Snapshot(t, cluster.Access{InProcess: s}, wire.BucketStream(wire.CapabilityBucket), wire.BucketPrefix(wire.CapabilityBucket)); len(got) != n {
		t.Errorf("%d capability sets were received, want %d", len(got), n)
	}
}

// TestCancel_ClientsIsolated: if a client publishes more cancellations than the
// servers store for it, the cancellations of another client must not be
// removed.
func TestCancel_ClientsIsolated(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	if err := cluster.Setup(t.Context(), "", 1, &access); err != nil {
		t.Fatal(err)
	}
	_, js := raw(t, s)
	cancel := func(client, try string) {
		t.Helper()
		subject, body := wire.Cancellation(client, "session", try)
		if _, err := js.PublishAsync(subject, body); err != nil {
			t.Fatal(err)
		}
	}
	cancel("modest", "1")
	for i := range wire.MaxCancels + 10 {
		cancel("wasteful", fmt.Sprint(i))
		if i%1000 == 0 { // no more than the library permits to be outstanding
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
	found := false
	all := cluster.Snapshot(t, access, wire.CancelStream, wire.CancelPrefix)
	for _, c := range all {
		found = found || c == "modest: session.1"
	}
	if len(all) != wire.MaxCancels+1 || !found {
		t.Errorf("%d cancellations, want MaxCancels+1; the cancellation of the modest client is there: %v, want true", len(all), found)
	}
}

// TestServe_RefusesWrongTasks: if a task arrives at the subject of another
// client, if its function has other types, or if its deadline has passed, a
// worker must not run the task.
func TestServe_RefusesWrongTasks(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 1)
	ex := dial(t, access)
	if n, err := concert.Submit(t.Context(), ex, count, 4_000_000).Result(t.Context()); n == 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	function, err := executor.Find("cluster_test.count")
	if err != nil {
		t.Fatal(err)
	}
	_, js := raw(t, s)
	good := wire.Envelope{Function: "cluster_test.count", Signature: wire.Digest(function.Signature()), Session: "s"}
	byAnother, ofOtherTypes, late, right := good, good, good, good
	byAnother.ID.Client = "mallory"
	ofOtherTypes.Signature = wire.Digest("other types")
	late.Deadline = 1
	for i, e := range []wire.Envelope{byAnother, ofOtherTypes, late, right} {
		_, arg, err := executor.Prepare(count, 9_000_001+i)
		if err != nil {
			t.Fatal(err)
		}
		if e.ID.Client == "" {
			e.ID.Client = "anyone"
		}
		e.ID.Session, e.ID.Number, e.Try, e.Arg = e.Session, fmt.Sprint(i), fmt.Sprint(i), wire.Value{Encoded: arg}
		subject := wire.TaskSubject(in.Workers()[0].Capabilities, "anyone")
		msgs, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: subject}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), subject, msgs[0]); err != nil {
			t.Fatal(err)
		}
	}
	ran := func(i int) bool {
		_, ok := runs.Load(9_000_001 + i)
		return ok
	}
	for begin := time.Now(); !ran(3); time.Sleep(5 * time.Millisecond) { // the task without a fault
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the task without a fault does not run")
		}
	}
	for i, what := range []string{"of another client", "with other types", "whose deadline has passed"} {
		if ran(i) {
			t.Errorf("a task %s runs", what)
		}
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		letters, err := in.DeadLetters(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(letters) == 1 && strings.Contains(letters[0].Reason, "mallory") {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("dead letters: %+v; want the task of another client", letters)
		}
	}
}

// TestServe_UnreadableTasks: if a message is not a task, it must become a dead
// letter, whatever its size, and the worker must continue.
func TestServe_UnreadableTasks(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 1)
	ex := dial(t, access)
	if n, err := concert.Submit(t.Context(), ex, count, 3_000_001).Result(t.Context()); n == 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	workers := in.Workers()
	if len(workers) != 1 {
		t.Fatalf("%d workers", len(workers))
	}
	subject := wire.TaskSubject(workers[0].Capabilities, "anyone")
	_, js := raw(t, s)
	largest := 0
	for size := wire.MaxMessageBytes; largest == 0; size -= 1 << 10 { // finds the largest size that the servers accept
		if _, err := js.Publish(t.Context(), subject, make([]byte, size)); err == nil {
			largest = size
		} else if size < wire.MaxMessageBytes/2 {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), subject, nil); err != nil {
		t.Fatal(err)
	}
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		n, err := in.Dead(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n == 2 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("%d dead letters, want 2; the larger one has %d bytes", n, largest)
		}
	}
	letters, err := in.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 2 || letters[0].Function != "" || letters[0].Reason == "" {
		t.Errorf("%+v, %v", letters, err)
	}
	if err := in.Replay(t.Context(), letters[0].Number); err == nil || !strings.Contains(err.Error(), "discard it") {
		t.Errorf("%v", err)
	}
	if n, err := concert.Submit(t.Context(), ex, count, 3_000_002).Result(t.Context()); n == 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	drained(t, ex)
}

// TestSubmit_MaxTasksPerClient: if there are more slots than MaxTasksPerClient,
// a client must send no more than MaxTasksPerClient tasks at a time. The other
// tasks must run later.
func TestSubmit_MaxTasksPerClient(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	const places, tasks = 5000, wire.MaxTasksPerClient + 300
	serve(t, access, places)
	ex := dial(t, access)
	name, h := newHold(t)
	h.began = make(chan struct{}, tasks)
	var futures []*concert.Future[string]
	for range tasks {
		futures = append(futures, concert.Submit(t.Context(), ex, held, name))
	}
	for range wire.MaxTasksPerClient {
		<-h.began
	}
	if n, _ := ex.Stored(t); n != wire.MaxTasksPerClient || ex.Sent() != wire.MaxTasksPerClient {
		t.Errorf("the servers have %d tasks of %d that were sent, want %d", n, ex.Sent(), wire.MaxTasksPerClient)
	}
	select {
	case <-h.began:
		t.Error("more than MaxTasksPerClient tasks run")
	default:
	}
	close(h.let)
	for i, f := range futures {
		if got, err := f.Result(t.Context()); got != name || err != nil {
			t.Fatalf("%d: %q, %v", i, got, err)
		}
	}
	drained(t, ex)
}
