package members

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
)

// heard returns the time Heard of the only worker of a View.
func heard(t *testing.T, v *View) time.Time {
	t.Helper()
	all := v.Workers()
	if len(all) != 1 {
		t.Fatalf("%d workers", len(all))
	}
	return all[0].Heard
}

// TestView_HeardBefore: for a heartbeat that was stored before the View was
// made, the View must report the time at which the servers stored it.
func TestView_HeardBefore(t *testing.T) {
	a, own := newServer(t)
	if _, err := own.JS.Publish(t.Context(), wire.BucketPrefix(wire.WorkerBucket)+".worker", advertised(t, Heartbeat{Slots: 1, Number: 1})); err != nil {
		t.Fatal(err)
	}
	stored := time.Now()
	view := NewView(jet.DefaultTimes(), func() {})
	life, end := context.WithCancel(t.Context())
	c := dial(t, a)
	defer func() {
		end()
		c.Close()
	}()
	if err := view.Watch(t.Context(), life, c); err != nil {
		t.Fatal(err)
	}
	if at := heard(t, view); at.After(stored) || at.IsZero() {
		t.Errorf("heard at %v, but it was stored before %v", at, stored)
	}
}

// TestView_Heard: the time Heard of a worker must be the time at which the
// servers stored its last heartbeat. If this time is unknown or in the
// future, Heard must be the time at which the heartbeat arrived.
func TestView_Heard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewView(jet.DefaultTimes(), func() {})
		begin := time.Now()
		for i, c := range []struct{ stored, want time.Time }{
			{begin.Add(-time.Hour), begin.Add(-time.Hour)},
			{time.Time{}, begin},
			{begin.Add(time.Hour), begin}, // the clock of the server is wrong
		} {
			v.addHeartbeat("worker", advertised(t, Heartbeat{Slots: 1, Number: uint64(i + 1)}), false, c.stored)
			if got := heard(t, v); !got.Equal(c.want) {
				t.Errorf("stored at %v: heard at %v, want %v", c.stored, got, c.want)
			}
		}
	})
}
