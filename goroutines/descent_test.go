package goroutines_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"concert"
)

// TestRandomDescents runs long chains of tasks over several pools, each waiting
// for the next one, next to tasks that compute, to waits with a deadline and to
// tasks that wait for two others. It checks that each one settles, that values
// are right, and that no pool ever has more tasks that advance than workers.
func TestRandomDescents(t *testing.T) { randomForests(t, 40, (*forest).descend) }

// descend has three chains of 100 tasks.
func (f *forest) descend(t *testing.T) {
	const depth = 100
	var futures []*concert.Future[int]
	for range 3 {
		n := node{f.intN(len(f.pools)), depth}
		futures = append(futures, concert.Submit(t.Context(), f.pools[n.pool], f.link, n))
	}
	for i, fut := range futures {
		if got, err := fut.Result(t.Context()); got != depth || err != nil {
			t.Errorf("chain %d has %d links, %v; want %d", i, got, err, depth)
		}
	}
	f.end(t)
}

// link is a task of a chain: it waits for the next one and returns its own
// number.
func (f *forest) link(ctx context.Context, n node) (int, error) {
	out := f.inside(n.pool)
	defer func() { out() }()
	f.compute()
	if n.levels == 0 {
		return 0, nil
	}
	out()
	defer func() { out = f.inside(n.pool); f.compute() }()
	next := node{f.intN(len(f.pools)), n.levels - 1}
	var side *concert.Future[int]
	if f.intN(4) == 0 {
		n := node{f.intN(len(f.pools)), 0}
		side = concert.Submit(ctx, f.pools[n.pool], f.link, n)
	}
	waiting := ctx
	if f.intN(8) == 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	fut := concert.Submit(ctx, f.pools[next.pool], f.link, next)
	if f.intN(8) == 0 {
		concert.Wait(waiting, concert.AllCompleted, fut)
	}
	got, err := fut.Result(waiting)
	if side != nil && err == nil && f.intN(2) == 0 {
		_, err = side.Result(ctx)
	}
	return got + 1, err
}

// compute takes some time, in which other tasks can run.
func (f *forest) compute() {
	for range f.intN(4) {
		runtime.Gosched()
	}
}

// end closes the pools and checks that none had too many tasks that advanced.
func (f *forest) end(t *testing.T) {
	for _, p := range f.pools {
		p.Close()
	}
	if n := f.over.Load(); n > 0 {
		t.Errorf("a pool exceeded its number of workers %d times", n)
	}
}
