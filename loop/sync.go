package loop

import (
	"context"
	"fmt"
	"sync/atomic"

	"concert"
	"concert/internal/option"
)

// Event is a flag that coroutines can wait for. The zero value is not set. An
// Event belongs to one loop and needs no lock.
type Event struct {
	set     bool
	waiters waitQueue
}

// Set sets the flag and wakes all waiters. Later calls have no effect.
func (e *Event) Set() {
	e.set = true
	e.waiters.wakeAll()
}

// Clear resets the flag. Later calls of Wait wait for the next Set.
func (e *Event) Clear() { e.set = false }

// IsSet reports whether the flag is set.
func (e *Event) IsSet() bool { return e.set }

// Wait waits until the flag is set. If ctx ends first, Wait returns the cause
// of ctx. If the flag is already set, Wait returns without a switch to other
// coroutines.
func (e *Event) Wait(ctx context.Context) error {
	c, err := beginAwait(ctx, opEventWait)
	if err != nil || e.set {
		return err
	}
	return e.waiters.wait(c, opEventWait, e)
}

// Mutex is a lock among coroutines, for a critical section that awaits. A
// section without an await needs no Mutex, because no other coroutine runs
// between two awaits. The zero value is unlocked. Waiters acquire the lock in
// the order in which they began to wait.
type Mutex struct {
	holder  atomic.Pointer[Task] // written by the holder of the scheduler lock
	waiters waitQueue
}

// Lock acquires the lock. If another coroutine holds it, Lock waits. If ctx
// ends first, Lock returns the cause of ctx. If the calling coroutine already
// holds the lock, the error wraps [concert.ErrDeadlock].
func (m *Mutex) Lock(ctx context.Context) error {
	c, err := beginAwait(ctx, opMutexLock)
	if err != nil || m.TryLock(ctx) {
		return err
	}
	if m.holder.Load() == c.task() {
		return c.yieldAndFail(fmt.Errorf("loop: Mutex.Lock: coroutine %s already holds the lock: %w", c.task(), concert.ErrDeadlock))
	}
	return m.waiters.wait(c, opMutexLock, m) // Unlock stores the new holder
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

// Unlock releases the lock, and hands it to the coroutine that has waited
// longest. Any coroutine may call it. Unlock panics if the lock is free.
func (m *Mutex) Unlock() {
	if m.holder.Load() == nil {
		panic("loop: Mutex.Unlock called on a mutex that is not locked")
	}
	m.holder.Store(m.waiters.wakeOne())
}

// Semaphore limits the number of coroutines that hold it at the same time.
// Waiters acquire it in the order in which they began to wait.
type Semaphore struct {
	free    int
	waiters waitQueue
}

// NewSemaphore returns a semaphore that at most n coroutines can hold at the
// same time. It panics if n is negative.
func NewSemaphore(n int) *Semaphore {
	option.NotNegative("loop: NewSemaphore", "n", n)
	return &Semaphore{free: n}
}

// Acquire acquires the semaphore. If n coroutines hold it, Acquire waits. If
// ctx ends first, Acquire returns the cause of ctx.
func (s *Semaphore) Acquire(ctx context.Context) error {
	c, err := beginAwait(ctx, opSemaphoreAcquire)
	if err != nil || s.TryAcquire() {
		return err
	}
	return s.waiters.wait(c, opSemaphoreAcquire, s) // Release hands over its permit
}

// TryAcquire acquires the semaphore if fewer than n coroutines hold it, and
// reports whether it did. It does not wait.
func (s *Semaphore) TryAcquire() bool {
	if s.free == 0 {
		return false
	}
	s.free--
	return true
}

// Release releases the semaphore, and hands it to the coroutine that has waited
// longest, if there is one. A Release without an Acquire raises the limit by
// one.
func (s *Semaphore) Release() {
	if s.waiters.wakeOne() == nil {
		s.free++
	}
}

// Cond lets coroutines wait until shared state has changed. If no coroutine
// awaits between reading and changing the state, the state needs no lock.
// Otherwise set L. The zero value is ready to use.
type Cond struct {
	// L, if set, is released by Wait during the wait.
	L *Mutex

	waiters waitQueue
}

// Wait waits for a Notify or a Broadcast. If ctx ends first, Wait returns the
// cause of ctx. If L is set, the caller must hold L. Wait releases L, and holds
// L again when it returns, even after an error.
func (c *Cond) Wait(ctx context.Context) error {
	caller := callerOf(ctx, opCondWait)
	if caller.ended() != nil { // no other coroutine may run before the wait, or the caller could miss a notification
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
		err = stuck // the loop is in a deadlock, so the wait of the holder of L has failed, too
	}
	return err
}

// WaitFor waits until the function holds returns true. It calls holds before
// the first wait, and again after each Notify or Broadcast that wakes it.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Notify wakes at most n waiters, in the order in which they began to wait. It
// returns the number of waiters that it has woken.
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
