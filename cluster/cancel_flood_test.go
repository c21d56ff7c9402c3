package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestCancel_Flood: if a client publishes cancellations of tasks that do not
// exist, as fast as it can, the cancellations of another client must be delayed
// by less than floodDelay. The server and the worker together must use less
// than cancelMemory.
func TestCancel_Flood(t *testing.T) {
	k := newKeyring(t)
	rogue, honest, work := k.access(server.Client, "rogue"), k.access(server.Client, "honest"), k.access(server.Worker, "worker")
	s := guarded(t, k)
	serveAt(t, s.URL(), work, 4)
	ex, err := cluster.Dial(t.Context(), s.URL(), &cluster.Options{Access: honest, Notice: func(string) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ex.Close() })
	name, h := newHold(t)
	defer close(h.let)
	before := heap()

	key, nc := keyConn(t, s, rogue)
	stop, many := make(chan struct{}), make(chan struct{})
	var flooding sync.WaitGroup
	defer flooding.Wait()
	defer close(stop)
	flooding.Go(func() {
		for n := 0; ; n++ {
			if n == 10*wire.MaxCancels {
				close(many)
			}
			select {
			case <-stop:
				return
			default:
			}
			subject, body := wire.Cancellation(key, "session", fmt.Sprint(n))
			if nc.Publish(subject, body) != nil {
				return
			}
		}
	})
	<-many
	for i := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		fut := concert.Submit(ctx, ex, held, name)
		<-h.began
		begin := time.Now()
		cancel()
		_, err := fut.Result(t.Context())
		if took := time.Since(begin); !errors.Is(err, context.Canceled) || errors.Is(err, cluster.ErrLost) || took > floodDelay {
			t.Errorf("canceled task %d: %v after %v", i, err, took)
		}
	}
	if got := heap() - before; got > cancelMemory {
		t.Errorf("%d MiB of memory, want %d at most", got>>20, cancelMemory>>20)
	}
}

// TestCancel_Queued: if a task is canceled while it waits for a slot in a
// worker, the task must settle at once.
func TestCancel_Queued(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	serve(t, access, 1)
	first, second := dial(t, access), dial(t, access)
	for i := range 20 { // quick tasks, so that the worker fetches more than it has slots
		if n, err := concert.Submit(t.Context(), first, count, 7_000_000+i).Result(t.Context()); n == 0 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	name, h := newHold(t)
	running := concert.Submit(t.Context(), first, held, name)
	<-h.began
	ctx, cancel := context.WithCancel(t.Context())
	waiting := concert.Submit(ctx, second, held, name)
	for second.Sent() == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if _, err := waiting.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("the canceled task: %v", err)
	}
	close(h.let)
	if got, err := running.Result(t.Context()); got != name || err != nil {
		t.Errorf("the running task: %q, %v", got, err)
	}
	drained(t, first)
}

// keyConn returns a connection of package nats with the key of a client.
func keyConn(t *testing.T, s *server.Server, a cluster.Access) (public string, nc *nats.Conn) {
	t.Helper()
	public, pair := keyOf(t, a.Key)
	nc, err := nats.Connect(s.URL(), nats.Nkey(public, pair.Sign), nats.RootCAs(a.Key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return public, nc
}
