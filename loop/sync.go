package loop

import (
	"context"
	"fmt"
	"sync/atomic"

	"concert"
	"concert/internal/option"
)

// Event is a flag for which coroutines wait. It is not set in the zero value.
// Like all data that coroutines share, it needs no lock, and belongs to one
// loop.
type Event struct {
	set     bool
	waiters waitQueue
}

// Set sets the event and wakes all waiters. Later calls do nothing.
func (e *Event) Set() {
	e.set = true
	e.waiters.wakeAll()
}

// Clear resets the event: later waits wait for the next Set.
func (e *Event) Clear() { e.set = false }

// IsSet reports whether the event is set.
func (e *Event) IsSet() bool { return e.set }

// Wait waits until the event is set, or until ctx ends, and then returns the
// cause of ctx. If the event is set already, Wait does not let other coroutines
// run.
func (e *Event) Wait(ctx context.Context) error {
	c, err := beginAwait(ctx, opEventWait)
	if err != nil || e.set {
		return err
	}
	return e.waiters.wait(c, opEventWait, e)
}

// Mutex is a lock among coroutines, for code that awaits and must not be
// interleaved. Code without an await needs no Mutex, because no other coroutine
// runs between two awaits. The zero value is unlocked. Waiters acquire it in
// the order in which they came.
type Mutex struct {
	holder  atomic.Pointer[Task] // written by the one who has the baton
	waiters waitQueue
}

// Lock acquires the lock. It waits until it can, or until ctx ends, and then
// returns the cause of ctx. If the coroutine holds the lock already, the error
// wraps [concert.ErrDeadlock].
func (m *Mutex) Lock(ctx context.Context) error {
	c, err := beginAwait(ctx, opMutexLock)
	if err != nil || m.TryLock(ctx) {
		return err
	}
	if m.holder.Load() == c.task() {
		return c.yieldAndFail(fmt.Errorf("loop: Mutex.Lock by %s, which holds it: %w", c.task(), concert.ErrDeadlock))
	}
	return m.waiters.wait(c, opMutexLock, m) // Unlock has made us the holder
}

// TryLock acquires the lock if it is free, and reports whether it did. It does
// not wait.
func (m *Mutex) TryLock(ctx context.Context) bool {
	t := callerOf(ctx, opMutexTryLock).task()
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

// Semaphore limits how many coroutines hold it at the same time. Waiters
// acquire it in the order in which they came.
type Semaphore struct {
	free    int
	waiters waitQueue
}

// NewSemaphore returns a semaphore that n coroutines can hold. It panics if n
// is negative.
func NewSemaphore(n int) *Semaphore {
	option.NotNegative("loop: NewSemaphore", "n", n)
	return &Semaphore{free: n}
}

// Acquire waits until the semaphore has room, or until ctx ends, and then
// returns the cause of ctx.
func (s *Semaphore) Acquire(ctx context.Context) error {
	c, err := beginAwait(ctx, opSemaphoreAcquire)
	if err != nil || s.TryAcquire() {
		return err
	}
	return s.waiters.wait(c, opSemaphoreAcquire, s) // Release has given us its place
}

// TryAcquire acquires the semaphore if it has room and no waiters, and reports
// whether it did.
func (s *Semaphore) TryAcquire() bool {
	if s.free == 0 {
		return false
	}
	s.free--
	return true
}

// Release releases the semaphore, and hands it to the coroutine that has waited
// for longest, if there is one. More calls of Release than of Acquire raise the
// limit.
func (s *Semaphore) Release() {
	if s.waiters.wakeOne() == nil {
		s.free++
	}
}

// Cond lets coroutines wait until shared state has changed. The state needs no
// lock, as long as coroutines do not await between reading and changing it. If
// they do, use L. The zero value is ready to use.
type Cond struct {
	// L, if set, is let go of by Wait, which has it again when it returns.
	L *Mutex

	waiters waitQueue
}

// Wait waits for a Notify or a Broadcast, or until ctx ends, and then returns
// the cause of ctx. If L is set, the caller must hold it: Wait releases it, and
// holds it again when it returns, also after an error.
func (c *Cond) Wait(ctx context.Context) error {
	caller := callerOf(ctx, opCondWait)
	if caller.ended() != nil { // no switch otherwise, or a notification could come before we wait
		return caller.checkAwait()
	}
	if c.L == nil {
		return c.waiters.wait(caller, opCondWait, c)
	}
	shielded := caller
	shielded.foreign, shielded.shielded = nil, true
	c.L.Unlock()
	err := c.waiters.wait(caller, opCondWait, c)
	for range 2 {
		if c.L.TryLock(ctx) {
			return err
		}
		stuck := c.L.waiters.wait(shielded, opCondLock, c.L)
		if stuck == nil {
			return err
		}
		err = stuck // the loop is; who holds the lock has been told so, too
	}
	return err
}

// WaitFor waits until holds returns true. It calls holds first, and after each
// Notify and Broadcast that wakes it.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Notify wakes up to n waiters, those that have waited longest first, and
// returns how many it woke.
func (c *Cond) Notify(n int) int {
	for i := range n {
		if c.waiters.wakeOne() == nil {
			return i
		}
	}
	return n
}

// Broadcast wakes all waiters, and returns their number.
func (c *Cond) Broadcast() int { return c.waiters.wakeAll() }
