package executor_test

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"concert"
	"concert/executor"
	"concert/goroutines"
	"concert/internal/race"
)

// descend is a recursion in which each task waits for the next one.
type descend func(ctx context.Context, n int) (int, error)

// descents returns recursions that wait in different ways: in tasks of one
// pool, of two pools, and of Go. The function between makes the context that
// a task passes to the next task.
func descents(t *testing.T, between func(context.Context) context.Context) map[string]descend {
	a, b := goroutines.New(4, nil), goroutines.New(1, nil)
	t.Cleanup(func() { a.Close(); b.Close() })
	one := func(wait func(ctx context.Context, f *concert.Future[int]) (int, error)) descend {
		var fn descend
		fn = func(ctx context.Context, n int) (int, error) {
			if n == 0 {
				return 0, nil
			}
			ctx = between(ctx)
			got, err := wait(ctx, concert.Submit(ctx, a, fn, n-1))
			return got + 1, err
		}
		return fn
	}
	ways := map[string]descend{
		"Result": one(func(ctx context.Context, f *concert.Future[int]) (int, error) { return f.Result(ctx) }),
		"Gather": one(func(ctx context.Context, f *concert.Future[int]) (int, error) {
			got, err := concert.Gather(ctx, f)
			return got[0], err
		}),
		"AsCompleted": one(func(ctx context.Context, f *concert.Future[int]) (got int, err error) {
			for f := range concert.AsCompleted(ctx, f) {
				got, err = f.Result(ctx)
			}
			return got, err
		}),
		"deadline": one(func(ctx context.Context, f *concert.Future[int]) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			return f.Result(ctx)
		}),
	}
	var two, alone, mapped, turns, mappedTwo descend
	two = func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		ex := a
		if n%2 == 0 {
			ex = b
		}
		ctx = between(ctx)
		got, err := concert.Submit(ctx, ex, two, n-1).Result(ctx)
		return got + 1, err
	}
	alone = func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		ctx = between(ctx)
		got, err := concert.Go(ctx, func(ctx context.Context) (int, error) { return alone(ctx, n-1) }).Result(ctx)
		return got + 1, err
	}
	mapped = func(ctx context.Context, n int) (got int, err error) {
		if n == 0 {
			return 0, nil
		}
		ctx = between(ctx)
		for got, err = range concert.Map(ctx, a, mapped, slices.Values([]int{n - 1})) {
		}
		return got + 1, err
	}
	turns = func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		ctx = between(ctx)
		got, err := concert.Go(ctx, func(ctx context.Context) (int, error) {
			return concert.Submit(ctx, a, turns, n-1).Result(ctx)
		}).Result(ctx)
		return got + 1, err
	}
	mappedTwo = func(ctx context.Context, n int) (got int, err error) {
		if n == 0 {
			return 0, nil
		}
		ex := a
		if n%2 == 0 {
			ex = b
		}
		ctx = between(ctx)
		for got, err = range concert.Map(ctx, ex, mappedTwo, slices.Values([]int{n - 1})) {
		}
		return got + 1, err
	}
	ways["two pools"], ways["Go"], ways["Map"] = two, alone, mapped
	ways["Go and a pool"], ways["Map on two pools"] = turns, mappedTwo
	return ways
}

// counted is a context that counts the calls of its methods.
type counted struct {
	context.Context
	calls *atomic.Int64
}

// Deadline, Err and Value call the methods of the inner context.
func (c counted) Deadline() (time.Time, bool) { c.calls.Add(1); return c.Context.Deadline() }
func (c counted) Err() error                  { c.calls.Add(1); return c.Context.Err() }
func (c counted) Value(key any) any           { c.calls.Add(1); return c.Context.Value(key) }

// TestDepth_Linear: the cost of a wait does not grow with the depth of a
// recursion. The test counts the calls of methods of the outer contexts, and
// the carriers that the search for deadlocks visits. If each level visited
// all levels below it, there would be depth/2 calls and visits for each
// level. The limit is a fifth of this number, because a preempted goroutine
// sometimes causes a search.
func TestDepth_Linear(t *testing.T) {
	const depth, most = 3000, 3000 / 10
	var calls atomic.Int64
	for name, fn := range descents(t, func(ctx context.Context) context.Context { return counted{ctx, &calls} }) {
		t.Run(name, func(t *testing.T) {
			steps := executor.GraphSteps()
			calls.Store(0)
			got, err := concert.Go(t.Context(), func(ctx context.Context) (int, error) { return fn(ctx, depth) }).Result(t.Context())
			if got != depth || err != nil {
				t.Errorf("depth = %d, %v; want %d", got, err, depth)
			}
			if n := calls.Load(); n > most*depth {
				t.Errorf("%d calls of methods of contexts in %d levels, want at most %d for each level", n, depth, most)
			}
			if n := executor.GraphSteps() - steps; n > most*depth {
				t.Errorf("%d steps in the search for deadlocks in %d levels, want at most %d for each level", n, depth, most)
			}
		})
	}
}

// uncomparableKey is a key of contexts. A comparison with another
// uncomparableKey panics, because a func cannot be compared.
type uncomparableKey struct{ fn any }

// lookupDepth looks up a value. It returns the number of functions on the
// stack at the moment when the context with an uncomparableKey compares its
// key.
func lookupDepth(ctx context.Context) (depth int) {
	defer func() {
		recover()
		depth = stackDepth()
	}()
	ctx.Value(uncomparableKey{func() {}})
	return 0
}

// stackDepth returns the number of functions on the stack.
func stackDepth() int {
	pcs := make([]uintptr, 1<<14)
	return runtime.Callers(0, pcs)
}

// TestDepth_Values: the number of stack frames for looking up a value of the
// outermost context is bounded, and does not depend on the depth of the
// recursion.
func TestDepth_Values(t *testing.T) {
	ex := goroutines.New(1, nil)
	defer ex.Close()
	deepest := 0
	var fn descend
	fn = func(ctx context.Context, n int) (int, error) {
		deepest = max(deepest, lookupDepth(ctx)-stackDepth())
		if n == 0 {
			return 0, nil
		}
		got, err := concert.Submit(ctx, ex, fn, n-1).Result(ctx)
		return got + 1, err
	}
	const depth, most = 300, 100
	outermost := context.WithValue(t.Context(), uncomparableKey{func() {}}, 0)
	if got, err := concert.Submit(outermost, ex, fn, depth).Result(t.Context()); got != depth || err != nil {
		t.Errorf("Result() = %d, %v; want %d", got, err, depth)
	}
	if deepest == 0 || deepest > most {
		t.Errorf("a value was looked for with %d functions on the stack, want at most %d", deepest, most)
	}
}

// TestDepth_OneProcess: one process has enough stack and memory for a
// recursion of 100,000 tasks.
func TestDepth_OneProcess(t *testing.T) {
	depth := 100_000
	if race.Enabled || testing.Short() {
		depth = 4_000 // the race detector has room for 8,128 goroutines
	}
	ways := descents(t, func(ctx context.Context) context.Context { return ctx })
	for _, name := range []string{"Result", "Go"} {
		t.Run(name, func(t *testing.T) {
			got, err := concert.Go(t.Context(), func(ctx context.Context) (int, error) { return ways[name](ctx, depth) }).Result(t.Context())
			if got != depth || err != nil {
				t.Errorf("depth = %d, %v; want %d", got, err, depth)
			}
		})
	}
}

// TestDepth_ChainOfFutures: each of many tasks waits for the previous task.
// The cost of a wait does not grow with the number of tasks.
func TestDepth_ChainOfFutures(t *testing.T) {
	const depth, most = 3000, 3000 / 10 // see TestDepth_Linear
	steps := executor.GraphSteps()
	gate, waits := make(chan struct{}), make(chan struct{}, depth)
	f := concert.Go(t.Context(), func(context.Context) (int, error) { <-gate; return 0, nil })
	for range depth {
		before := f
		f = concert.Go(t.Context(), func(ctx context.Context) (int, error) {
			waits <- struct{}{}
			got, err := before.Result(ctx)
			return got + 1, err
		})
		<-waits
	}
	close(gate)
	if got, err := f.Result(t.Context()); got != depth || err != nil {
		t.Errorf("Result() = %d, %v; want %d", got, err, depth)
	}
	if n := executor.GraphSteps() - steps; n > most*depth {
		t.Errorf("%d steps in the search for deadlocks in %d waits, want at most %d each", n, depth, most)
	}
}

// TestWaitGraph_Shortcuts: if a shortcut finds that a carrier is runnable, a
// search finds the same. The test compares shortcuts and searches for random
// tasks that wait for random earlier tasks, and for deep recursions. Some
// tasks run on pools, and some were started by the function Go.
func TestWaitGraph_Shortcuts(t *testing.T) {
	stop := executor.VerifyGraph()
	rounds := 100
	if testing.Short() {
		rounds = 20
	}
	seed := rand.Uint64()
	for round := range rounds {
		random := rand.New(rand.NewPCG(seed, uint64(round)))
		var pools []*goroutines.Pool
		for range 1 + random.IntN(3) {
			pools = append(pools, goroutines.New(1+random.IntN(2), nil))
		}
		var futures []*concert.Future[int]
		for i := range 60 {
			var needs []*concert.Future[int]
			for range random.IntN(min(i, 3) + 1) {
				needs = append(needs, futures[max(0, i-1-random.IntN(4))])
			}
			child := pools[random.IntN(len(pools))]
			fn := func(ctx context.Context, n int) (int, error) {
				for _, f := range needs {
					if _, err := f.Result(ctx); err != nil {
						return 0, err
					}
				}
				_, err := concert.Submit(ctx, child, square, n).Result(ctx)
				return n, err
			}
			if random.IntN(2) == 0 {
				futures = append(futures, concert.Go(t.Context(), func(ctx context.Context) (int, error) { return fn(ctx, i) }))
			} else {
				futures = append(futures, concert.Submit(t.Context(), pools[random.IntN(len(pools))], fn, i))
			}
		}
		if _, err := concert.Gather(t.Context(), futures...); err != nil {
			t.Fatalf("seed %d, round %d: %v", seed, round, err)
		}
		for _, p := range pools {
			p.Close()
		}
	}
	for name, fn := range descents(t, func(ctx context.Context) context.Context { return ctx }) {
		const depth = 100
		if got, err := concert.Go(t.Context(), func(ctx context.Context) (int, error) { return fn(ctx, depth) }).Result(t.Context()); got != depth || err != nil {
			t.Errorf("%s: depth = %d, %v; want %d", name, got, err, depth)
		}
	}
	if all, wrong := stop(); all == 0 || wrong > 0 {
		t.Errorf("seed %d: of %d shortcuts, %d found that a carrier is runnable, but a search found that it is stuck", seed, all, wrong)
	}
}
