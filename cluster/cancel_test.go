package cluster_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestServe_CancelStoredLate: if the servers store a cancellation after the
// worker has read all cancellations, and do not deliver it to subscribers, the
// worker must still receive the cancellation.
func TestServe_CancelStoredLate(t *testing.T) {
	access := cluster.Access{InProcess: embedded(t, "")}
	ex := dial(t, access)
	put := cluster.LateStore(t, access, wire.CancelStream, wire.CancelPrefix)
	serve(t, access, 1)
	name, h := newHold(t)
	fut := concert.Submit(t.Context(), ex, held, name)
	<-h.began
	client, bodies := ex.Cancellations()
	if len(bodies) != 1 {
		t.Fatalf("%d calls, want 1", len(bodies))
	}
	put(client, bodies[0])
	if _, err := fut.Result(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

// causeOf is the cause of a cancellation. Its value is the function that the
// Error method calls.
type causeOf func()

// Error calls the function.
func (c causeOf) Error() string { c(); return "time to go" }

// TestShutdown_CauseMisbehaves: the servers do not answer, and a call is
// canceled with a cause whose Error method panics, exits or hangs. The call
// must still settle with ErrLost.
func TestShutdown_CauseMisbehaves(t *testing.T) {
	t.Parallel()
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	for name, misdeed := range map[string]func(){
		"panics": func() { panic("out of ink") },
		"exits":  runtime.Goexit,
		"hangs":  func() { <-hung },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := server.New(&server.Options{Listen: "127.0.0.1:0"})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			p := newProxy(t, strings.TrimPrefix(s.URL(), "nats://"))
			ex, err := cluster.Dial(t.Context(), "nats://"+p.l.Addr().String(), &cluster.Options{Notice: func(string) {}, Grace: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			// A task of another client occupies the only slot of the worker.
			other := dial(t, cluster.Access{InProcess: s})
			stop := serve(t, cluster.Access{InProcess: s}, 1)
			first, h := newHold(t)
			concert.Submit(t.Context(), other, held, first)
			<-h.began
			fut := concert.Submit(t.Context(), ex, held, first)
			untilQueued(ex, 1)
			p.set(silent)
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(causeOf(misdeed))
			ex.Shutdown(ctx)
			if _, err := fut.Result(t.Context()); !errors.Is(err, cluster.ErrLost) {
				t.Error("the error of the call is not ErrLost")
			}
			p.set(open)
			close(h.let)
			stop()
		})
	}
}
