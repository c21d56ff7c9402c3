package jobs

import (
	"context"
	"sync"
)

// pauser stops the start of jobs until a user permits it again on the live
// page. The zero value permits jobs to start.
type pauser struct {
	mu      sync.Mutex
	resumed chan struct{} // guarded by mu: closed when jobs may start again; nil if they may start
}

// pause stops the start of jobs if on is true, and otherwise permits it again.
func (p *pauser) pause(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case on && p.resumed == nil:
		p.resumed = make(chan struct{})
	case !on && p.resumed != nil:
		close(p.resumed)
		p.resumed = nil
	}
}

// wait waits while the start of jobs is stopped. It returns false if ctx ends
// first.
func (p *pauser) wait(ctx context.Context) bool {
	for {
		p.mu.Lock()
		resumed := p.resumed
		p.mu.Unlock()
		if resumed == nil {
			return true
		}
		select {
		case <-resumed:
		case <-ctx.Done():
			return false
		}
	}
}
