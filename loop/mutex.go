package loop

import (
	"context"
	"fmt"
	"sync/atomic"

	"concert"
)

// Mutex is a lock among coroutines, for code that awaits and must not be
// interleaved. Code without an await needs no Mutex, because no other coroutine
// runs between two awaits. The zero value is unlocked. Waiters acquire it in
// the order in which they came.
type Mutex struct {
	holder  atomic.Pointer[Task] // written by the one who has the baton
	waiters waiters
}

// Lock acquires the lock. It waits until it can, or until ctx ends, and then
// returns the cause of ctx. If the coroutine holds the lock already, the error
// wraps [concert.ErrDeadlock].
func (m *Mutex) Lock(ctx context.Context) error {
	c, err := awaits(ctx, opMutexLock)
	if err != nil || m.TryLock(ctx) {
		return err
	}
	if m.holder.Load() == c.task() {
		return c.fail(fmt.Errorf("loop: Mutex.Lock by %s, which holds it: %w", c.task(), concert.ErrDeadlock))
	}
	return m.waiters.wait(c, opMutexLock, m) // Unlock has made us the holder
}

// TryLock acquires the lock if it is free, and reports whether it did. It does
// not wait.
func (m *Mutex) TryLock(ctx context.Context) bool {
	t := runs(ctx, opMutexTryLock).task()
	if m.holder.Load() != nil {
		return false
	}
	m.holder.Store(t)
	return true
}

// Unlock releases the lock, and hands it to the coroutine that has waited for
// longest. Any coroutine may call it. It panics if the lock is free.
func (m *Mutex) Unlock() {
	if m.holder.Load() == nil {
		panic("loop: Unlock of a Mutex that is not locked")
	}
	m.holder.Store(m.waiters.wakeOne())
}
