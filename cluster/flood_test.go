package cluster_test

import (
	"context"
	"crypto/sha256"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// The limits in docs/security.md: the delay of a client by a flood of
// another client, and the memory that the flood may use.
const (
	floodDelay   = 10 * time.Second
	cancelMemory = 128 << 20 // maximum memory of a server and a worker for the cancellations of one key
	floodMemory  = 256 << 20 // maximum memory of a worker with the default ServeOptions.MaxBytes
)

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	runtime.GC()
	runtime.GC() // a second collection frees memory that the first one has only finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

var weigh = concert.Register("cluster_test.weigh", func(ctx context.Context, b []byte) (int, error) {
	c, _ := holding.Load("weigh")
	h := c.(*hold)
	select {
	case h.began <- struct{}{}:
	case <-h.let:
	}
	select {
	case <-h.let:
		return len(b), nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
})

// storeParts stores the parts of a value without package jet, and returns the
// Value for a task.
func storeParts(t *testing.T, js jetstream.JetStream, client string, v executor.Encoded) wire.Value {
	t.Helper()
	sum := sha256.Sum256(v.Bytes)
	to := wire.Value{Encoded: executor.Encoded{Kind: v.Kind}, Blob: wire.ArgumentName(client), Size: len(v.Bytes), Sum: sum[:]}
	n := 0
	for part := range slices.Chunk(v.Bytes, wire.PartBytes) {
		if _, err := js.Publish(t.Context(), wire.BlobSubject(to.Blob, n), part); err != nil {
			t.Fatal(err)
		}
		n++
	}
	return to
}

// publishTasks publishes n tasks of the function weigh in the name of a
// client, without an Executor.
func publishTasks(t *testing.T, js jetstream.JetStream, contract, client string, n int, arg wire.Value) {
	t.Helper()
	f, err := executor.Find("cluster_test.weigh")
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		e := wire.Envelope{Function: "cluster_test.weigh", Signature: wire.Digest(f.Signature()), Session: "s", Try: wire.NewToken(), Arg: arg}
		e.ID = wire.TaskID{Client: client, Session: e.Session, Number: e.Try}
		subject := wire.TaskSubject(contract, client)
		msgs, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: subject}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), subject, msgs[0]); err != nil {
			t.Fatal(err)
		}
	}
}

// allRan waits until the servers hold no task. It ignores results, because no
// program receives the results for the client "rogue".
func allRan(t *testing.T, ex *cluster.Executor) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		tasks, _ := ex.Stored(t)
		if tasks == 0 {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the servers still hold %d tasks", tasks)
		}
	}
}

// contractOf runs a task with the argument n, so that the client has received
// the list of the worker's functions. It returns the capability set of the only
// worker.
func contractOf(t *testing.T, access cluster.Access, ex *cluster.Executor, n int) string {
	t.Helper()
	if n, err := concert.Submit(t.Context(), ex, count, n).Result(t.Context()); n == 0 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	return in.Workers()[0].Capabilities
}

// TestServe_LargeArguments: if many small tasks refer to the same large
// argument, or to a large argument that does not exist, the worker must use
// no more memory than ServeOptions.MaxBytes permits. Tasks of another client
// must overtake these tasks.
func TestServe_LargeArguments(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 16)
	ex := dial(t, access)
	contract := contractOf(t, access, ex, 5_000_000)
	h := holdOf("weigh")
	let := sync.OnceFunc(func() { close(h.let) })
	defer let()
	before := heap()
	_, js := raw(t, s)
	_, arg, err := executor.Prepare(weigh, make([]byte, 31<<20))
	if err != nil {
		t.Fatal(err)
	}
	stored := storeParts(t, js, "rogue", arg)
	const fit = 3 // number of arguments that fit into three quarters of 128 MiB
	claimed := stored
	claimed.Blob, claimed.Size = wire.ArgumentName("rogue"), 1<<30
	publishTasks(t, js, contract, "rogue", 12, claimed) // the servers have no parts of these arguments
	publishTasks(t, js, contract, "rogue", 12, stored)
	for range fit {
		<-h.began
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), floodDelay)
	defer cancel()
	for i := range 100 {
		if n, err := concert.Submit(ctx, ex, count, 5_000_001+i).Result(ctx); n == 0 || err != nil {
			t.Fatalf("a task of another client after %v: %d, %v", time.Since(begin), n, err)
		}
	}
	select {
	case <-h.began:
		t.Fatalf("more than %d large arguments are held", fit)
	default:
	}
	arg = executor.Encoded{}
	if got := heap() - before; got > floodMemory {
		t.Errorf("%d MiB of memory, want %d at most", got>>20, floodMemory>>20)
	}
	let()
	allRan(t, ex)
}

// TestServe_LargeMessages: if the tasks of a worker are quick, the worker
// fetches many tasks in advance. The messages of these tasks must not exceed
// the part of ServeOptions.MaxBytes that is for messages.
func TestServe_LargeMessages(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	const places, messages = 8, 32 << 20 // a quarter of 128 MiB
	serve(t, access, places)
	ex := dial(t, access)
	for i := range 100 { // quick tasks, so that the worker fetches tasks in advance
		if n, err := concert.Submit(t.Context(), ex, count, 6_000_000+i).Result(t.Context()); n == 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	contract := in.Workers()[0].Capabilities
	h := holdOf("weigh")
	let := sync.OnceFunc(func() { close(h.let) })
	defer let()
	_, js := raw(t, s)
	const size, tasks = 500 << 10, 150
	_, arg, err := executor.Prepare(weigh, make([]byte, size))
	if err != nil {
		t.Fatal(err)
	}
	publishTasks(t, js, contract, "rogue", tasks, wire.Value{Encoded: arg})
	for range places {
		<-h.began
	}
	consumer, err := js.Consumer(t.Context(), wire.TaskStream, contract)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := consumer.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := consumer.CachedInfo().NumAckPending; n*size > messages {
			t.Fatalf("the worker holds %d messages, %d MiB", n, n*size>>20)
		}
		heap() // a pause
	}
	let()
	allRan(t, ex)
}

// TestReplay_Duplicates: if a task has several dead letters, Replay of one
// dead letter must remove all dead letters of this task, and no others.
func TestReplay_Duplicates(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	if err := cluster.Setup(t.Context(), "", 1, &access); err != nil {
		t.Fatal(err)
	}
	_, js := raw(t, s)
	subject := wire.TaskSubject("contract", "client")
	letter := func(owner, id string) {
		t.Helper()
		e := wire.Envelope{ID: wire.TaskID{Client: "client", Session: "s", Number: id}, Function: "f", Signature: "s", Session: "s", Try: id}
		msgs, err := wire.EncodeTasks([]wire.OutgoingTask{{Envelope: e, Subject: subject}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		m := &nats.Msg{Subject: wire.DeadSubject(subject, owner), Data: msgs[0], Header: nats.Header{jetstream.MsgIDHeader: {"dead." + id}}}
		for { // until the servers have deleted the id of the earlier message
			ack, err := js.PublishMsg(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if !ack.Duplicate {
				return
			}
		}
	}
	letter("one", "1")
	letter("one", "2")
	letter("one", "1")
	letter("two", "1")
	in, err := cluster.Inspect(t.Context(), "", &access)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	letters, err := in.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(letters) != 4 {
		t.Fatalf("%+v, %v", letters, err)
	}
	if err := in.Replay(t.Context(), letters[0].Number); err != nil {
		t.Fatal(err)
	}
	left, err := in.DeadLetters(t.Context(), 0, 10)
	if err != nil || len(left) != 1 || left[0].Number != letters[1].Number {
		t.Errorf("%+v, %v; want only the second dead letter", left, err)
	}
}

// TestServe_PublishedTwice: a client publishes a task twice, because it has not
// received the acknowledgment. If a worker fetches the second message while the
// task runs, the task must not run again.
func TestServe_PublishedTwice(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 2)
	ex := dial(t, access)
	contract := contractOf(t, access, ex, 8_000_000)
	h := holdOf("weigh")
	let := sync.OnceFunc(func() { close(h.let) })
	defer let()
	_, js := raw(t, s)
	_, arg, err := executor.Prepare(weigh, []byte("light"))
	if err != nil {
		t.Fatal(err)
	}
	tap, err := js.Stream(t.Context(), wire.TaskStream)
	if err != nil {
		t.Fatal(err)
	}
	publishTasks(t, js, contract, "client", 1, wire.Value{Encoded: arg})
	<-h.began
	info, err := tap.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first, err := tap.GetMsg(t.Context(), info.State.LastSeq)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), first.Subject, first.Data); err != nil {
		t.Fatal(err)
	}
	for n := uint64(2); n != 1; n, _ = ex.Stored(t) {
		time.Sleep(time.Millisecond)
	}
	let()
	allRan(t, ex)
	if len(h.began) > 0 {
		t.Error("the task ran twice")
	}
}
