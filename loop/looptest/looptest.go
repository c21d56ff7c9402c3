// Package looptest runs a test of coroutines under many interleavings.
//
// A loop with a seed chooses at random who runs next, and switches at awaits
// that need not wait; its time is virtual. The same seed makes the same
// choices, so what one of a thousand interleavings breaks is found in
// milliseconds, and stays found:
//
//	func TestTransfers(t *testing.T) {
//		looptest.Explore(t, 1000, func(ctx context.Context, g *loop.Group) error {
//			...
//		})
//	}
//
// Choices are repeatable as long as all that coroutines wait for is the loop's:
// Block, Offload, connections and portals come back when they come back, and
// package context tells of the end of contexts that it has made when it gets to
// it.
package looptest

import (
	"context"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"concert/loop"
)

// SeedVariable names the environment variable that has Explore try one seed
// only.
const SeedVariable = "CONCERT_SEED"

// Explore runs the function as the main coroutine of a loop, once for each seed
// from 1 to n, and fails the test at the first that returns an error, a panic
// and a deadlock included, saying which it was. Shared state belongs into the
// function, which is run again and again. With CONCERT_SEED=17 in the
// environment it tries only that seed. Explore reports whether all went well.
func Explore(t testing.TB, n int, test func(ctx context.Context, g *loop.Group) error) bool {
	t.Helper()
	seed := Find(t.Context(), n, test)
	if seed.Err == nil {
		return true
	}
	t.Errorf("seed %d: %v\nto try it alone: %s=%d go test -run '^%s$'", seed.Seed, seed.Err, SeedVariable, seed.Seed, t.Name())
	return false
}

// Failure is a seed under which a test failed; with a nil Err there is none.
type Failure struct {
	Seed uint64
	Err  error
}

// Find is Explore without a test to fail: it returns the first seed from 1 to n
// under which the function fails.
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

// Rand returns the random numbers of a seed, for what the function itself
// chooses. ctx is that of a coroutine.
func Rand(ctx context.Context) *rand.Rand {
	r, ok := ctx.Value(randKey{}).(*rand.Rand)
	if !ok {
		panic("looptest: Rand with a context that is not from Explore or Find")
	}
	return r
}

type randKey struct{}

// run runs the test as a child, so that its panic is an error.
func run(ctx context.Context, seed uint64, test func(ctx context.Context, g *loop.Group) error) error {
	ctx = context.WithValue(ctx, randKey{}, rand.New(rand.NewPCG(seed, 1)))
	return loop.Run(ctx, &loop.Options{Name: "seed " + strconv.FormatUint(seed, 10), Seed: seed}, func(_ context.Context, g *loop.Group) error {
		g.Go(func(ctx context.Context) error { return loop.WithGroup(ctx, test) })
		return nil
	})
}
