package cluster_test

import (
	"context"
	"errors"
	"testing"

	"concert"
	"concert/cluster"
	"concert/cluster/internal/wire"
)

// TestServe_CancelStoredLate: a worker learns of a cancellation that the
// servers store after it has read all there were.
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
