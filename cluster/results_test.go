package cluster_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/goroutines"
)

// TestSession_Forgotten: if the servers delete the session of a client, because
// the client had no connection for a long time, the client must still get its
// results.
func TestSession_Forgotten(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	for _, away := range []bool{true, false} {
		t.Run(fmt.Sprint("away ", away), func(t *testing.T) {
			way := &network{to: s}
			notices := make(chan string, 10)
			ex, err := cluster.Dial(t.Context(), "", &cluster.Options{Access: cluster.Access{InProcess: way}, Notice: func(s string) { notices <- s }})
			if err != nil {
				t.Fatal(err)
			}
			defer ex.Close()
			name, h := newHold(t)
			stop := serve(t, direct, 2)
			one := concert.Submit(t.Context(), ex, held, name)
			named := concert.Submit(cluster.WithID(t.Context(), "named"+time.Now().String()), ex, held, name)
			<-h.began
			<-h.began
			if away {
				way.cut()
			}
			ex.Forget(t, direct)
			close(h.let)
			if away {
				stop() // when stop returns, the results are stored
				way.heal(s)
				serve(t, direct, 2)
			}
			for _, fut := range []*concert.Future[string]{one, named} {
				if got, err := fut.Result(t.Context()); got != name || err != nil {
					t.Errorf("away %v: %q, %v", away, got, err)
				}
			}
			if away {
				t.Log(<-notices)
			}
			ex.Close()
			stop()
		})
	}
}

// TestServers_DisksLost: if the servers start again without their data, the
// client must send all outstanding tasks again, and each task must have its
// result.
func TestServers_DisksLost(t *testing.T) {
	if testing.Short() {
		t.Skip("not with -short: the test waits for ten seconds until requests to the closed server time out")
	}
	t.Parallel()
	s := embedded(t, "")
	n := &network{to: s}
	access := cluster.ShortLease(cluster.Access{InProcess: n}, 3*time.Second) // if the server is closed while it sends a task, the task waits for a lease
	ex := dial(t, access)
	stop := serve(t, access, 2)
	large := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 1+i%7/6*300_000) }
	results := 0
	for got, err := range concert.Map(t.Context(), ex, reverse, func(yield func([]byte) bool) {
		for i := range 200 {
			if !yield(large(i)) {
				return
			}
		}
	}) {
		if want := large(results); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("result %d: %d bytes, %v; want %d", results, len(got), err, len(want))
		}
		if results++; results == 50 {
			n.cut()
			s.Close()
			s = embedded(t, "")
			n.heal(s)
		}
	}
	if results != 200 {
		t.Errorf("%d results", results)
	}
	drained(t, ex)
	stop() // the worker must end before the cleanup closes the server
	ex.Close()
}

// TestResult_PartsLost: if the servers lose parts of the large argument or the
// large result of a task, the task must run again.
func TestResult_PartsLost(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	client, work := &network{to: s}, &network{to: s}
	ex := dial(t, cluster.Access{InProcess: client})
	stop := serve(t, cluster.Access{InProcess: work}, 1)
	large := bytes.Repeat([]byte("large"), 100_000)
	if _, err := concert.Submit(t.Context(), ex, reverse, large).Result(t.Context()); err != nil {
		t.Fatal(err)
	}
	drained(t, ex)
	work.cut()
	fut := concert.Submit(t.Context(), ex, reverse, large)
	cluster.Purge(t, direct, wire.BlobStream, wire.TaskStream, 1)
	work.heal(s)
	if got, err := fut.Result(t.Context()); err != nil || len(got) != len(large) {
		t.Errorf("an argument that was lost: %d bytes, %v", len(got), err)
	}
	name, h := newHold(t)
	fut = concert.Submit(t.Context(), ex, heavy, name)
	<-h.began
	client.cut()
	close(h.let)
	cluster.Purge(t, direct, wire.BlobStream, wire.ResultStream, 1)
	client.heal(s)
	if got, err := fut.Result(t.Context()); err != nil || len(got) != 1<<20 {
		t.Errorf("a result that was lost: %d bytes, %v", len(got), err)
	}
	stop()
	ex.Close()
}

// heavy returns a large value when the test closes its hold.
var heavy = concert.Register("cluster_test.heavy", func(_ context.Context, name string) ([]byte, error) {
	c, _ := holding.Load(name)
	h := c.(*hold)
	h.began <- struct{}{}
	<-h.let
	return make([]byte, 1<<20), nil
})

// TestServe_ConsumerRecreated: if the stream of tasks was deleted and created
// again, the acknowledgment of a task of the old stream must not remove the new
// task with the same sequence number.
func TestServe_ConsumerRecreated(t *testing.T) {
	t.Parallel()
	s := embedded(t, "")
	direct := cluster.Access{InProcess: s}
	way := &network{to: s}
	ex := dial(t, direct)
	old, now := holdOf("old"), holdOf("new")
	noticed := make(chan string, 10)
	stop := serveWith(t, &cluster.ServeOptions{Access: cluster.Access{InProcess: way}, Notice: func(text string) { noticed <- text }}, goroutines.New(1, nil))
	first := concert.Submit(t.Context(), ex, held, "old")
	<-old.began
	cluster.Remake(t, direct)
	way.cut()
	way.heal(s)
	for text := range noticed { // until the worker reports the loss
		if strings.Contains(text, "lost the consumer") {
			break
		}
	}
	serve(t, direct, 1)
	second := concert.Submit(t.Context(), ex, held, "new") // the first task of the new stream
	<-now.began
	close(old.let)
	if got, err := first.Result(t.Context()); got != "old" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	stop() // when stop returns, the worker has sent all acknowledgments
	if tasks, _ := ex.Stored(t); tasks != 1 {
		t.Errorf("the servers hold %d tasks, and one runs", tasks)
	}
	close(now.let)
	if got, err := second.Result(t.Context()); got != "new" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// TestResult_Damaged: if a result cannot be decoded, its task must settle with
// an error that says so.
func TestResult_Damaged(t *testing.T) {
	s := embedded(t, "")
	access := cluster.Access{InProcess: s}
	serve(t, access, 1)
	ex := dial(t, access)
	name, h := newHold(t)
	defer close(h.let)
	fut := concert.Submit(t.Context(), ex, held, name)
	<-h.began
	client, bodies := ex.Cancellations()
	session, try, _ := strings.Cut(string(bodies[0]), ".")
	_, js := raw(t, s)
	subject := wire.ResultSubject(wire.TaskID{Client: client, Session: session, Number: try})
	if _, err := js.Publish(t.Context(), subject, []byte{0xff}); err != nil {
		t.Fatal(err)
	}
	if _, err := fut.Result(t.Context()); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("%v, want an error that says that the result is damaged", err)
	}
}
