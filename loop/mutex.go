package loop

import (
	"context"
	"fmt"
	"sync/atomic"

	"concert"
)

// Mutex is a lock among coroutines, for what must not be interleaved although it awaits. Between two
// awaits no other coroutine runs, so what does not await needs none. The zero value is free.
// It is handed over first come, first served.
type Mutex struct {
	holder  atomic.Pointer[Task] // written by the one who has the baton
	waiters waiters
}

// Lock waits for the lock, or until ctx ends, whose cause it then returns. Of a coroutine
// that has it already, it is a [concert.ErrDeadlock].
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

// TryLock takes the lock if it is free, and reports whether it did. It does not wait.
func (m *Mutex) TryLock(ctx context.Context) bool {
	t := runs(ctx, opMutexTryLock).task()
	if m.holder.Load() != nil {
		return false
	}
	m.holder.Store(t)
	return true
}

// Unlock hands the lock to the one who has waited for longest. Any coroutine may call it. It panics if the lock is
// free.
func (m *Mutex) Unlock() {
	if m.holder.Load() == nil {
		panic("loop: Unlock of a Mutex that is not locked")
	}
	m.holder.Store(m.waiters.wakeOne())
}
