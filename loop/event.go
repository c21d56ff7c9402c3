package loop

import "context"

// Event is a flag that coroutines wait for. The zero value is not set. Like all that
// coroutines share in a loop it needs no lock, and belongs to one loop.
type Event struct {
	set     bool
	waiters waiters
}

// Set sets the event and wakes all who wait for it. Later calls do nothing.
func (e *Event) Set() {
	e.set = true
	e.waiters.wakeAll()
}

// Clear takes it back: who waits from now on waits for the next Set.
func (e *Event) Clear() { e.set = false }

// IsSet reports whether it is set.
func (e *Event) IsSet() bool { return e.set }

// Wait waits until the event is set, or ctx ends, whose cause it then returns. It does not
// let others run if the event is set already.
func (e *Event) Wait(ctx context.Context) error {
	c, err := awaits(ctx, opEventWait)
	if err != nil || e.set {
		return err
	}
	return e.waiters.wait(c, opEventWait, e)
}
