package loop

import (
	"context"

	"concert/internal/option"
)

// Semaphore lets a number of coroutines in at a time. It is handed over first come, first served.
type Semaphore struct {
	free    int
	waiters waiters
}

// NewSemaphore returns a semaphore with n places. It panics if n is negative.
func NewSemaphore(n int) *Semaphore {
	option.NotNegative("loop: NewSemaphore", "n", n)
	return &Semaphore{free: n}
}

// Acquire waits for a place, or until ctx ends, whose cause it then returns.
func (s *Semaphore) Acquire(ctx context.Context) error {
	c, err := awaits(ctx, opSemaphoreAcquire)
	if err != nil || s.TryAcquire() {
		return err
	}
	return s.waiters.wait(c, opSemaphoreAcquire, s) // Release has given us its place
}

// TryAcquire takes a place if there is one and nobody waits, and reports whether it did.
func (s *Semaphore) TryAcquire() bool {
	if s.free == 0 {
		return false
	}
	s.free--
	return true
}

// Release gives a place back: to the one who has waited for longest, if somebody waits. Called
// more often than Acquire it adds places.
func (s *Semaphore) Release() {
	if s.waiters.wakeOne() == nil {
		s.free++
	}
}
