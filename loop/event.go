package loop

import "context"

// Event is a flag for which coroutines wait. It is not set in the zero value.
// Like all data that coroutines share, it needs no lock, and belongs to one
// loop.
type Event struct {
	set     bool
	waiters waiters
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
	c, err := awaits(ctx, opEventWait)
	if err != nil || e.set {
		return err
	}
	return e.waiters.wait(c, opEventWait, e)
}
