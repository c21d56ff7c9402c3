package goroutines_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/goroutines"
)

// watch prints all stacks and ends the program if the test does not end
// within a minute, for example because of a deadlock.
func watch(t *testing.T) {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() {
		buf := make([]byte, 4<<20)
		panic(fmt.Sprintf("%s hangs:\n%s", t.Name(), buf[:runtime.Stack(buf, true)]))
	})
	t.Cleanup(func() { timer.Stop() })
}

// TestDeadlock_PoolsWaitForEachOther: tasks of several pools wait for tasks of
// the other pools, in more levels than there are workers. Even if the queues
// are full, all tasks must end.
func TestDeadlock_PoolsWaitForEachOther(t *testing.T) {
	watch(t)
	for _, c := range []struct{ pools, workers, queue, depth int }{
		{2, 1, 1, 100}, {2, 1, 64, 100}, {2, 3, 1, 100}, {3, 1, 1, 99}, {3, 2, 4, 100}, {5, 1, 1, 50},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			var pools []*goroutines.Pool
			for range c.pools {
				pools = append(pools, goroutines.New(c.workers, &goroutines.Options{Queue: c.queue}))
			}
			var play func(ctx context.Context, n int) (int, error)
			play = func(ctx context.Context, n int) (int, error) {
				if n == 0 {
					return 0, nil
				}
				got, err := concert.Submit(ctx, pools[n%c.pools], play, n-1).Result(ctx)
				return got + 1, err
			}
			var futures []*concert.Future[int]
			for range 4 * c.workers {
				futures = append(futures, concert.Submit(t.Context(), pools[0], play, c.depth))
			}
			got, err := concert.Gather(t.Context(), futures...)
			if err != nil || slices.Min(got) != c.depth || slices.Max(got) != c.depth {
				t.Errorf("depths = %v, %v; want %d", got, err, c.depth)
			}
			for _, p := range pools {
				p.Close()
			}
		})
	}
}

// TestDeadlock_RandomTrees: trees of tasks run on several pools, and each task
// waits for its children in a random way. Every task must settle, all values
// must be right, and no pool may ever have more running tasks than workers.
func TestDeadlock_RandomTrees(t *testing.T) { randomForests(t, 30, (*forest).grow) }

// randomForests runs a number of rounds with random pools, or five with -short.
func randomForests(t *testing.T, rounds int, run func(*forest, *testing.T)) {
	watch(t)
	seed := rand.Uint64()
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		run(newForest(t, rand.New(rand.NewPCG(seed, uint64(round)))), t)
		if t.Failed() {
			t.Fatalf("seed %d, round %d", seed, round)
		}
	}
}

type forest struct {
	pools []*goroutines.Pool
	limit []int
	busy  []atomic.Int32 // for each pool, the number of tasks that run and do not wait
	over  atomic.Int32
	mu    sync.Mutex
	rand  *rand.Rand // guarded by mu
}

func newForest(t *testing.T, random *rand.Rand) *forest {
	f := &forest{rand: random}
	for range 1 + random.IntN(4) {
		n := 1 + random.IntN(3)
		f.limit = append(f.limit, n)
		f.pools = append(f.pools, goroutines.New(n, &goroutines.Options{Queue: 1 + random.IntN(3)}))
	}
	f.busy = make([]atomic.Int32, len(f.pools))
	return f
}

func (f *forest) intN(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rand.IntN(n)
}

type node struct{ pool, levels int }

// inside marks the task as running. It returns a function that marks the
// task as waiting.
func (f *forest) inside(pool int) func() {
	if int(f.busy[pool].Add(1)) > f.limit[pool] {
		f.over.Add(1)
	}
	return func() { f.busy[pool].Add(-1) }
}

// visit returns the number of leaves below a node.
func (f *forest) visit(ctx context.Context, n node) (leaves int, err error) {
	out := f.inside(n.pool)
	defer func() { out() }()
	if n.levels == 0 {
		return 1, nil
	}
	children := make([]node, 3)
	for i := range children {
		children[i] = node{f.intN(len(f.pools)), n.levels - 1}
	}
	// Mark the task as waiting before the Submit, which may run a task
	// itself.
	out()
	defer func() { out = f.inside(n.pool) }()
	sum := func(got int, e error) {
		leaves += got
		err = errors.Join(err, e)
	}
	way := f.intN(6)
	if way < 2 {
		mapping := concert.Map[node, int]
		if way == 1 {
			mapping = concert.MapUnordered[node, int]
		}
		at := f.intN(len(f.pools))
		for i := range children {
			children[i].pool = at
		}
		for got, e := range mapping(ctx, f.pools[at], f.visit, slices.Values(children)) {
			sum(got, e)
		}
		return leaves, err
	}
	var futures []*concert.Future[int]
	for _, c := range children {
		futures = append(futures, concert.Submit(ctx, f.pools[c.pool], f.visit, c))
	}
	switch way {
	case 2:
		for _, fut := range futures {
			sum(fut.Result(ctx))
		}
	case 3:
		for fut := range concert.AsCompleted(ctx, futures...) {
			sum(fut.Result(ctx))
		}
	case 4:
		done, _ := concert.Wait(ctx, concert.AllCompleted, futures...)
		for _, fut := range done {
			sum(fut.Result(ctx))
		}
	case 5:
		all, e := concert.Gather(ctx, futures...)
		for _, got := range all {
			leaves += got
		}
		err = e
	}
	return leaves, err
}

func (f *forest) grow(t *testing.T) {
	const levels, want = 5, 243
	var futures []*concert.Future[int]
	for range 3 {
		n := node{f.intN(len(f.pools)), levels}
		futures = append(futures, concert.Submit(t.Context(), f.pools[n.pool], f.visit, n))
	}
	got, err := concert.Gather(t.Context(), futures...)
	if err != nil || !slices.Equal(got, []int{want, want, want}) {
		t.Errorf("leaves = %v, %v; want %d each", got, err, want)
	}
	f.end(t)
}

// TestDeadlock_FuturesOfOtherTasks: if each task waits only for tasks that were
// submitted before it, on any pool, there is no circle: all tasks end, and no
// wait fails.
func TestDeadlock_FuturesOfOtherTasks(t *testing.T) {
	watch(t)
	seed := rand.Uint64()
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for round := range rounds {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		var pools []*goroutines.Pool
		for range 1 + random.IntN(4) {
			pools = append(pools, goroutines.New(1+random.IntN(2), &goroutines.Options{Queue: 1 + random.IntN(64)}))
		}
		var futures []*concert.Future[int]
		for i := range 100 {
			var needs []*concert.Future[int]
			for range random.IntN(min(i, 3) + 1) {
				needs = append(needs, futures[random.IntN(i)])
			}
			way, child := random.IntN(3), pools[random.IntN(len(pools))]
			futures = append(futures, concert.Submit(t.Context(), pools[random.IntN(len(pools))], func(ctx context.Context, n int) (int, error) {
				runtime.Gosched()
				var err error
				switch way {
				case 0:
					_, err = concert.Gather(ctx, needs...)
				case 1:
					for f := range concert.AsCompleted(ctx, needs...) {
						_, e := f.Result(ctx)
						err = errors.Join(err, e)
					}
				case 2:
					for _, f := range needs {
						_, e := f.Result(ctx)
						err = errors.Join(err, e)
					}
					_, e := concert.Submit(ctx, child, square, n).Result(ctx)
					err = errors.Join(err, e)
				}
				return n, err
			}, i))
		}
		got, err := concert.Gather(t.Context(), futures...)
		if err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		for i, n := range got {
			if n != i {
				t.Fatalf("seed %d, round %d: task %d returned %d", seed, round, i, n)
			}
		}
		for _, p := range pools {
			p.Close()
		}
	}
}

// TestMap_InputsAreMap: a task can run a Map whose inputs are the results of
// another Map, even if both Maps need the worker of the task.
func TestMap_InputsAreMap(t *testing.T) {
	watch(t)
	a, b, c := goroutines.New(1, nil), goroutines.New(1, nil), goroutines.New(1, nil)
	defer a.Close()
	defer b.Close()
	defer c.Close()
	back := func(ctx context.Context, n int) (int, error) { return concert.Submit(ctx, a, square, n).Result(ctx) }
	f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (sum int, err error) {
		inputs := func(yield func(int) bool) {
			for n, err := range concert.Map(ctx, c, back, slices.Values([]int{1, 2, 3})) {
				if err != nil || !yield(n) {
					return
				}
			}
		}
		for n, err := range concert.Map(ctx, b, square, inputs) {
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}, 0)
	if got := result(t, f); got != 1+16+81 {
		t.Errorf("sum = %d, want 98", got)
	}
}

// TestDeadlock_RandomChains: long chains of tasks run on several pools, and
// each task waits for the next one. Every task must settle, all values must be
// right, and no pool may ever have more running tasks than workers. Some waits
// have a deadline, and some tasks compute or wait for a second task.
func TestDeadlock_RandomChains(t *testing.T) { randomForests(t, 40, (*forest).descend) }

// descend runs three chains of 100 tasks.
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

// end closes the pools and checks that none had too many running tasks.
func (f *forest) end(t *testing.T) {
	for _, p := range f.pools {
		p.Close()
	}
	if n := f.over.Load(); n > 0 {
		t.Errorf("a pool exceeded its number of workers %d times", n)
	}
}
