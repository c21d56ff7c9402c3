package cluster

import "sync"

// crew is goroutines that are waited for at the end. From then on none is let
// in, as who calls Go of a WaitGroup must know that Wait does not return
// meanwhile; and when a worker or a client ends without its servers, tasks may
// end later that nobody waits for.
type crew struct {
	mu    sync.Mutex
	over  bool           // guarded by mu
	group sync.WaitGroup // Go is called with mu
}

// Go runs f on a goroutine, unless Wait has been called.
func (c *crew) Go(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.group.Go(f)
	}
}

// Wait waits until all of them have ended.
func (c *crew) Wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.group.Wait()
}
