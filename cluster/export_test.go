package cluster

import (
	"testing"
	"time"

	"concert/cluster/internal/wire"
)

// ShortLease has tasks of lost workers go to others soon.
func ShortLease(t *testing.T, d time.Duration) {
	before := lease
	lease = d
	t.Cleanup(func() { lease = before })
}

// Loads returns how many parts of large arguments and results are stored.
func (e *Executor) Loads(t *testing.T) int {
	stream, err := e.link.js.Stream(t.Context(), wire.LoadStream)
	if err != nil {
		t.Fatal(err)
	}
	return int(stream.CachedInfo().State.Msgs)
}

// Stored returns how many tasks and results the servers hold.
func (e *Executor) Stored(t *testing.T) (tasks, results uint64) {
	for _, s := range []struct {
		name string
		n    *uint64
	}{{wire.TaskStream, &tasks}, {wire.ResultStream, &results}} {
		stream, err := e.link.js.Stream(t.Context(), s.name)
		if err != nil {
			t.Fatal(err)
		}
		*s.n = stream.CachedInfo().State.Msgs
	}
	return tasks, results
}

// ShortSilence has workers say often that they are there, and be missed soon.
func ShortSilence(t *testing.T, d time.Duration) {
	often, long := heartbeat, silence
	heartbeat, silence = d, 4*d
	t.Cleanup(func() { heartbeat, silence = often, long })
}

// Sent returns how many calls there have been on their way to the cluster.
func (e *Executor) Sent() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return int(e.last)
}
