package gil

import "time"

// Stats is what a lock says about its past.
type Stats struct {
	Switches uint64 // how often another Do or Run had the lock than before
	Forced   uint64 // of these, because one was due at a checkpoint
	Waiting  int    // who wait now

	// With Options.Times, else 0. Held does not count the turn that goes on, Waited not
	// those who still wait.
	Held   time.Duration // for which somebody had the lock
	Waited time.Duration // for which goroutines waited, added up
}

// Stats returns what happened so far. It may be called at any time.
func (l *Lock) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Switches: l.turns(l.word.Load()) + l.returns.Load(), Forced: l.forced.Load(), Waiting: l.waiting.len(),
		Held: time.Duration(l.heldFor.Load()), Waited: l.waitedFor,
	}
}
