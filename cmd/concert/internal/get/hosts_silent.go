package get

import "time"

// arrived records that bytes or a reply of a file have arrived. It only
// acquires the lock if the transfer was silent.
func (s *hosts) arrived(f *file) {
	f.steps.Add(1)
	if !f.silent.Load() {
		return
	}
	s.mu.Lock()
	defer s.unlock()
	if f.silent.Load() && f.slot != nil {
		f.silent.Store(false)
		f.seen, f.moved = f.steps.Load(), time.Now()
		s.counting++
	}
}

// lookLater starts the timer for lookForSilence.
func (s *hosts) lookLater() {
	if !s.looking {
		s.looking = true
		time.AfterFunc(lookInterval, s.lookForSilence)
	}
}

// lookForSilence finds the transfers that have become silent. It runs while
// files wait for a slot.
func (s *hosts) lookForSilence() {
	s.mu.Lock()
	defer s.unlock() // unlock starts the timer again if files still wait
	s.looking = false
	now := time.Now()
	for f := range s.holders {
		if n := f.steps.Load(); n != f.seen {
			f.seen, f.moved = n, now
		} else if !f.silent.Load() && now.Sub(f.moved) >= silence {
			f.silent.Store(true)
			s.counting--
		}
	}
}
