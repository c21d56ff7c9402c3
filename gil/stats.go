package gil

import "time"

// Stats counts events of a lock since the lock was created.
type Stats struct {
	Switches uint64 // number of times that a Do or Run acquired the lock, unless the same Do or Run was the previous holder
	Forced   uint64 // number of switches at checkpoints
	Waiting  int    // number of goroutines that wait now

	// Held and Waited are 0 without Options.Times. Held does not include the
	// current turn. Waited does not include goroutines that still wait.
	Held   time.Duration // the time for which the lock was held
	Waited time.Duration // the sum of the times that goroutines waited
}

// Stats returns the counts so far. It may be called at any time, by any
// goroutine.
func (l *Lock) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Switches: l.turns(l.word.Load()) + l.returns.Load(), Forced: l.forced.Load(), Waiting: l.waiting.len(),
		Held: time.Duration(l.heldFor.Load()), Waited: l.waitedFor,
	}
}
