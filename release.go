package concert

import (
	"context"

	"concert/executor"
)

// Release releases the lock that ctx carries, calls fn, and acquires the
// lock again. The lock may belong to an event loop or an interpreter. If ctx
// carries no lock, or the lock is not held, Release only calls fn. If a
// function blocks, it calls Release, so that other goroutines can run in the
// meantime. It need not know what kind of lock ctx carries. fn should not
// access data that the lock guards.
func Release(ctx context.Context, fn func()) {
	executor.Release(ctx, fn)
}
