package processes_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/processes"
)

// TestPool_Stats: the pool must count the tasks whose worker died, the tasks
// whose worker it killed, the replaced workers, and the bytes in pipes and
// in shared memory.
func TestPool_Stats(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Timeout: 100 * time.Millisecond, Grace: -1, Output: slog.New(slog.DiscardHandler)})
	if s := p.Stats(); s.Workers != 1 || s.Busy != 0 || s.Restarts != 0 || s.Sent != 0 {
		t.Errorf("a new pool has the numbers %+v", s)
	}
	if _, err := submit(t, p, exitWith, 7).Result(t.Context()); err == nil {
		t.Error("a task that exits has no error")
	}
	if _, err := submit(t, p, nap, time.Hour).Result(t.Context()); !errors.Is(err, processes.ErrTimeout) {
		t.Errorf("a task that exceeds the timeout has the error %v", err)
	}
	const large = 1 << 20
	if b, err := submit(t, p, echo, make([]byte, large)).Result(t.Context()); len(b) != large || err != nil {
		t.Errorf("echo returned %d bytes, %v", len(b), err)
	}
	s := p.Stats()
	want := concert.Failures{WorkerDeaths: 1, Timeouts: 1}
	if s.Failed != want || s.Done != 3 || s.Restarts != 2 || s.Workers != 1 {
		t.Errorf("%d tasks are done, %+v failed, there were %d restarts, and there are %d workers; want 3, %+v, 2 and 1", s.Done, s.Failed, s.Restarts, s.Workers, want)
	}
	if s.Sent < large || s.Sent > 2*large || s.Received < large || s.Received > 2*large {
		t.Errorf("%d bytes were sent and %d received, want a little more than %d of each", s.Sent, s.Received, large)
	}
	for _, err := range concert.Map(t.Context(), p, nop, slices.Values(make([]int, 10_000))) {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := p.Stats()
	if n := after.Done - s.Done; n != 10_000 || after.RunTime.Count()-s.RunTime.Count() != n {
		t.Errorf("a Map of 10,000 items counts as %d tasks, and its times as %d", n, after.RunTime.Count()-s.RunTime.Count())
	}
	if n := after.Sent - s.Sent; n < 10_000 || n > 1_000_000 {
		t.Errorf("10,000 small arguments were sent in %d bytes", n)
	}
}

// TestPool_WatchLate: if Watch adds an observer to a pool that has none, the
// observer must receive the event of the start of a task when the pool
// notices the start.
func TestPool_WatchLate(t *testing.T) {
	leftovers(t)
	p := newPool(t, 1, &processes.Options{Grace: 10 * time.Millisecond}) // the task ignores the end of its context
	started := make(chan executor.Event, 10)
	defer p.Watch(func(e concert.Event) {
		if e.Kind == concert.TaskStarted {
			started <- e
		}
	})()
	ctx, cancel := context.WithCancel(t.Context())
	f := concert.Submit(ctx, p, nap, time.Hour)
	if e := <-started; e.Worker != 0 || e.Name == "" {
		t.Errorf("the event of the start: %+v", e)
	}
	if s := p.Stats(); s.Running != 1 || s.Busy != 1 || s.Queued != 0 {
		t.Errorf("%d tasks run on %d workers, and %d are queued; want 1, 1 and 0", s.Running, s.Busy, s.Queued)
	}
	cancel()
	f.Result(t.Context())
}
