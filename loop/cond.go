package loop

import "context"

// Cond is where coroutines wait for a state of theirs to change. The state needs no lock, as long as
// those who look at it and change it do not await in between; if they do, L is theirs. The zero value is ready to
// use.
type Cond struct {
	// L, if set, is let go of by Wait, which has it again when it returns.
	L *Mutex

	waiters waiters
}

// Wait waits for a Notify or a Broadcast, or until ctx ends, whose cause it then returns.
// With L, which the caller must have, Wait has it again when it returns, whatever becomes of ctx.
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

// WaitFor waits until the condition holds, which it looks at first, and after each Notify and
// Broadcast that it gets.
func (c *Cond) WaitFor(ctx context.Context, holds func() bool) error {
	for !holds() {
		if err := c.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Notify wakes up to n of those who wait, the first ones first, and returns how many they were.
func (c *Cond) Notify(n int) int {
	for i := range n {
		if c.waiters.wakeOne() == nil {
			return i
		}
	}
	return n
}

// Broadcast wakes all who wait, and returns how many they were.
func (c *Cond) Broadcast() int { return c.waiters.wakeAll() }
