package jet

import "sync"

// Group is a sync.WaitGroup that starts no goroutines after Wait was called.
// When a client or a worker closes its connection, late events may still call
// Go. A sync.WaitGroup does not permit such calls concurrently with Wait.
type Group struct {
	mu    sync.Mutex
	over  bool           // guarded by mu
	group sync.WaitGroup // Go is called while mu is held
}

// Go runs f on a goroutine, unless Wait has been called.
func (g *Group) Go(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.group.Go(f)
	}
}

// Wait waits until all goroutines have ended. After that, Go does nothing.
func (g *Group) Wait() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.group.Wait()
}

// Signal reports an event to the goroutines that wait for it. Its zero value is
// ready to use.
type Signal struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu: closed by the next event; nil if no goroutine waits
}

// Wait returns a channel that the next event closes.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// fire reports an event.
func (s *Signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
