// Package looptest runs a test of coroutines in many orders of execution.
//
// A loop with a seed chooses at random which coroutine runs next, and also
// lets other coroutines run at some awaits that need not wait. The time of
// such a loop is virtual. The same seed makes the same choices. So a test
// finds an error that occurs in one of a thousand orders within
// milliseconds, and can repeat it:
//
//	func TestTransfers(t *testing.T) {
//		looptest.Explore(t, 1000, func(ctx context.Context, g *loop.Group) error {
//			...
//		})
//	}
//
// A run is repeatable if coroutines wait only for events of the loop. Block,
// Offload, connections and portals depend on real time, and so do contexts of
// package context.
package looptest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"concert/loop"
)

// SeedVariable is the name of an environment variable with a seed. If it is
// set, Explore and Find try only this seed.
const SeedVariable = "CONCERT_SEED"

// Explore runs a function as a coroutine of a loop, once for each seed from 1
// to n. It fails the test at the first seed for which the function returns an
// error, panics or deadlocks, and reports the seed. State that the coroutines
// share must be created in the function, because the function runs many times.
// If the environment has CONCERT_SEED=17, Explore tries only this seed.
// Explore reports whether all runs succeeded.
func Explore(t testing.TB, n int, test func(ctx context.Context, g *loop.Group) error) bool {
	t.Helper()
	seed := Find(t.Context(), n, test)
	if seed.Err == nil {
		return true
	}
	t.Errorf("looptest: seed %d failed: %v\nto run only this seed: %s=%d go test -run '^%s$'", seed.Seed, seed.Err, SeedVariable, seed.Seed, t.Name())
	return false
}

// Failure is a seed with which a test failed. If no seed failed, Err is nil.
type Failure struct {
	Seed uint64
	Err  error
}

// Find is Explore without a testing.TB. It returns the first seed from 1 to n
// with which the function fails.
func Find(ctx context.Context, n int, test func(ctx context.Context, g *loop.Group) error) Failure {
	first, last := uint64(1), uint64(max(n, 0))
	if seed, err := strconv.ParseUint(os.Getenv(SeedVariable), 10, 64); err == nil && seed != 0 {
		first, last = seed, seed
	}
	for seed := first; seed <= last; seed++ {
		if err := run(ctx, seed, test); err != nil {
			return Failure{seed, err}
		}
	}
	return Failure{}
}

// Rand returns a random number generator, with which the function given to
// Explore or Find can make random choices. The generator has the seed of the
// run, so the function makes the same choices again for the same seed. ctx is
// the context of a coroutine.
func Rand(ctx context.Context) *rand.Rand {
	r, ok := ctx.Value(randKey{}).(*rand.Rand)
	if !ok {
		panic("looptest: Rand called with a context that is not from Explore or Find")
	}
	return r
}

type randKey struct{}

// run calls test in a child of the main coroutine, so that a panic becomes an
// error.
func run(ctx context.Context, seed uint64, test func(ctx context.Context, g *loop.Group) error) error {
	ctx = context.WithValue(ctx, randKey{}, rand.New(rand.NewPCG(seed, 1)))
	return loop.Run(ctx, &loop.Options{Name: "seed " + strconv.FormatUint(seed, 10), Seed: seed}, func(_ context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { return loop.WithGroup(ctx, test) })
		return nil
	})
}
