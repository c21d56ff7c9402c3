package processes

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestPool_WatchEnded: a call whose submitter's context has already ended, with
// other calls of the same context, is canceled as well: the pool watches the
// context anew.
func TestPool_WatchEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, Options{Threads: 1}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		watch := func() *submitter {
			p.mu.Lock()
			defer p.mu.Unlock()
			known := p.watchLocked(ctx)
			known.flights++
			return known
		}
		first := watch()
		if watch() != first {
			t.Error("two calls of a context that has not ended have two watches")
		}
		cancel()
		synctest.Wait()
		if watch() == first {
			t.Error("a call that comes after the end of its context has the watch that is over")
		}
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.submitters) > 0 {
			t.Errorf("%d contexts are still watched", len(p.submitters))
		}
	})
}
