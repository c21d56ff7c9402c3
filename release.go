package concert

import (
	"context"

	"concert/executor"
)

// Release releases the lock that ctx carries, of whatever kind it is, calls fn,
// and acquires the lock again. If ctx carries no lock, or does not hold it,
// Release only calls fn. A function that blocks uses it to let other goroutines
// run, and need not know whether it runs on an event loop or under an
// interpreter lock. fn should not access what the lock guards.
func Release(ctx context.Context, fn func()) {
	executor.Release(ctx, fn)
}
