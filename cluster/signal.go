package cluster

import "sync"

// signal tells those who wait for something that it has happened, once each.
// Its zero value is ready to use.
type signal struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu: closed when it happens; nil if nobody waits
}

// wait returns what is closed when it happens the next time.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// fire tells all who wait.
func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
