package loop

import (
	"context"

	"concert/internal/option"
)

// Semaphore limits how many coroutines hold it at the same time. Waiters
// acquire it in the order in which they came.
type Semaphore struct {
	free    int
	waiters waiters
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
	c, err := awaits(ctx, opSemaphoreAcquire)
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
