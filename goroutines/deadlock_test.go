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
	"testing/synctest"
	"time"

	"concert"
	"concert/goroutines"
)

// watch fails the test with all stacks if it does not end in time, which is
// what a deadlock looks like.
func watch(t *testing.T) {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() {
		buf := make([]byte, 4<<20)
		panic(fmt.Sprintf("%s hangs:\n%s", t.Name(), buf[:runtime.Stack(buf, true)]))
	})
	t.Cleanup(func() { timer.Stop() })
}

// TestPingPong has the tasks of pools wait for each other's, deeper than any
// of them has workers, with queues that are full all the time.
func TestPingPong(t *testing.T) {
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

// TestRandomTrees runs trees of tasks over several pools, each waiting for its
// children in a random way, and checks that every one settles, that values are
// right, and that no pool ever has more tasks that advance than workers.
func TestRandomTrees(t *testing.T) { randomForests(t, 30, (*forest).grow) }

// randomForests runs that many rounds with random pools, or five with -short.
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
	busy  []atomic.Int32 // tasks of each pool that advance: not inside a wait
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

// inside marks the task as advancing; the function it returns, as waiting.
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
	// The waiting begins here, since a Submit may run a task itself.
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

// TestCircle: two tasks on two pools that wait for each other. One of the two
// waits closes the circle and must fail; nothing may hang.
func TestCircle(t *testing.T) {
	watch(t)
	a, b := goroutines.New(1, nil), goroutines.New(1, nil)
	defer a.Close()
	defer b.Close()
	futures := make(chan [2]*concert.Future[int], 2)
	wait := func(i int) func(context.Context, int) (int, error) {
		return func(ctx context.Context, _ int) (int, error) { return (<-futures)[i].Result(ctx) }
	}
	both := [2]*concert.Future[int]{
		concert.Submit(t.Context(), a, wait(1), 0),
		concert.Submit(t.Context(), b, wait(0), 0),
	}
	futures <- both
	futures <- both
	_, err := concert.Gather(t.Context(), both[0], both[1])
	if !errors.Is(err, concert.ErrDeadlock) {
		t.Errorf("errors of the circle: %v, want ErrDeadlock", err)
	}
}

// TestHandedFutures has tasks wait for futures that others have submitted, on
// any pool: as long as they wait for earlier ones there is no circle, and
// nothing may hang or be taken for one.
func TestHandedFutures(t *testing.T) {
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

// TestSubmitterAwaited: a task fills its own pool's queue with tasks that wait
// for it. Run on top of it they would close a circle.
func TestSubmitterAwaited(t *testing.T) {
	watch(t)
	ex := goroutines.New(1, &goroutines.Options{Queue: 1})
	defer ex.Close()
	self := make(chan *concert.Future[int], 1)
	f := concert.Submit(t.Context(), ex, func(ctx context.Context, n int) (int, error) {
		me := <-self
		ctx = context.WithoutCancel(ctx) // they outlive this task
		for range 10 {
			concert.Submit(ctx, ex, func(ctx context.Context, _ int) (int, error) { return me.Result(ctx) }, 0).
				OnDone(ctx, func(ctx context.Context, f *concert.Future[int]) {
					if got, err := f.Result(ctx); got != n || err != nil {
						t.Errorf("a task that waited for its submitter got %d, %v", got, err)
					}
				})
		}
		return n, nil
	}, 7)
	self <- f
	if got, err := f.Result(t.Context()); got != 7 || err != nil {
		t.Errorf("Result() = %d, %v; want 7", got, err)
	}
}

// TestWaitDeadline: a wait with a deadline ends with it, although the worker
// could have run, and would have been held up by, what is waited for.
func TestWaitDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ex := goroutines.New(1, nil)
		defer ex.Close()
		slow := concert.Go(t.Context(), func(context.Context) (int, error) { time.Sleep(time.Hour); return 0, nil })
		f := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (time.Duration, error) {
			a := concert.Submit(t.Context(), ex, func(ctx context.Context, _ int) (int, error) { return slow.Result(ctx) }, 0)
			begin := time.Now()
			hurry, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			_, err := a.Result(hurry)
			return time.Since(begin), err
		}, 0)
		if took, err := f.Result(t.Context()); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("a wait of 1 s took %v, %v", took, err)
		}
	})
}

// TestResizeWhileLent: of two idle workers one still has a task that was
// started on it while it was lent. Shrinking and growing meets either.
func TestResizeWhileLent(t *testing.T) {
	for _, first := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			a, b := goroutines.New(2, nil), goroutines.New(2, nil)
			defer a.Close()
			defer b.Close()
			gate := make(chan struct{})
			outside := concert.Go(t.Context(), func(context.Context) (int, error) { <-gate; return 0, nil })
			needs := make(chan *concert.Future[int], 2)
			wait := func(ctx context.Context, n int) (int, error) {
				x := <-needs
				_, err := concert.Submit(ctx, b, func(ctx context.Context, _ int) (int, error) {
					time.Sleep(5 * time.Millisecond)
					return x.Result(ctx)
				}, 0).Result(ctx)
				time.Sleep(time.Duration(n) * 20 * time.Millisecond) // they fall idle one after the other
				return 0, err
			}
			both := []*concert.Future[int]{concert.Submit(t.Context(), a, wait, first), concert.Submit(t.Context(), a, wait, 1-first)}
			synctest.Wait()
			x := concert.Submit(t.Context(), a, square, 2)
			y := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) { return outside.Result(ctx) }, 0)
			needs <- x
			needs <- x // both wait for x, behind them in the queue: one is lent, and takes y as well
			if _, err := concert.Gather(t.Context(), both...); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			a.Resize(1)
			synctest.Wait()
			a.Resize(2)
			close(gate)
			result(t, y)
			for range 20 {
				two := []*concert.Future[time.Duration]{concert.Submit(t.Context(), a, nap, time.Second), concert.Submit(t.Context(), a, nap, time.Second)}
				if _, err := concert.Gather(t.Context(), two...); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestMapsInATask: the inputs of a Map are another Map, in a task whose worker
// is needed by both.
func TestMapsInATask(t *testing.T) {
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

// TestLeftBehind: a goroutine that outlives its task, in a wait with its
// context, must not take the worker with it.
func TestLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := goroutines.New(1, nil), goroutines.New(1, nil)
		defer a.Close()
		defer b.Close()
		gateY, gateG, gone := make(chan struct{}), make(chan struct{}), make(chan struct{})
		forY := concert.Go(t.Context(), func(context.Context) (int, error) { <-gateY; return 0, nil })
		forG := concert.Go(t.Context(), func(context.Context) (int, error) { <-gateG; return 0, nil })
		var y *concert.Future[int]
		f := concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) {
			x := concert.Submit(t.Context(), a, square, 2)
			y = concert.Submit(t.Context(), a, func(ctx context.Context, _ int) (int, error) { return forY.Result(ctx) }, 0)
			// The worker is lent for x, and takes y as well.
			concert.Submit(ctx, b, func(ctx context.Context, _ int) (int, error) { return x.Result(ctx) }, 0).Result(ctx)
			time.Sleep(time.Millisecond)
			go func() {
				defer close(gone)
				forG.Result(context.WithoutCancel(ctx))
			}()
			time.Sleep(time.Millisecond)
			return 0, nil
		}, 0)
		result(t, f)
		synctest.Wait()
		close(gateG)
		<-gone
		close(gateY)
		result(t, y)
		result(t, concert.Submit(t.Context(), a, square, 3))
	})
}
