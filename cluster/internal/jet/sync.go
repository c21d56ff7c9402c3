package jet

import "sync"

// Group is goroutines that are waited for at the end. From then on none is let
// in, as who calls Go of a WaitGroup must know that Wait does not return
// meanwhile; and when a worker or a client ends without its servers, tasks may
// end later that nobody waits for.
type Group struct {
	mu    sync.Mutex
	over  bool           // guarded by mu
	group sync.WaitGroup // Go is called with mu
}

// Go runs f on a goroutine, unless Wait has been called.
func (g *Group) Go(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.over {
		g.group.Go(f)
	}
}

// Wait waits until all of them have ended.
func (g *Group) Wait() {
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
	g.group.Wait()
}

// Signal tells those who wait for something that it has happened, once each.
// Its zero value is ready to use.
type Signal struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu: closed when it happens; nil if nobody waits
}

// Wait returns what is closed when it happens the next time.
func (s *Signal) Wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// fire tells all who wait.
func (s *Signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
