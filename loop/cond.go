package loop

import "context"

// Cond lets coroutines wait until shared state has changed. The state needs no
// lock, as long as coroutines do not await between reading and changing it. If
// they do, use L. The zero value is ready to use.
type Cond struct {
	// L, if set, is let go of by Wait, which has it again when it returns.
	L *Mutex

	waiters waiters
}

// Wait waits for a Notify or a Broadcast, or until ctx ends, and then returns
// the cause of ctx. If L is set, the caller must hold it: Wait releases it, and
// holds it again when it returns, also after an error.
func (c *Cond) Wait(ctx context.Context) error {
	caller := runs(ctx, opCondWait)
	if caller.ended() != nil { // no switch otherwise, or a notification could come before we wait
		return caller.await()
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
