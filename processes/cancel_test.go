package processes

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestCancel_ContextAlreadyEnded: the pool watches a context again for a call
// that is submitted after the context has ended, although it watched the
// context for earlier calls. So the call is canceled as well.
func TestCancel_ContextAlreadyEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(1, Options{Threads: 1}, nil, defaultConfig())
		ctx, cancel := context.WithCancel(t.Context())
		watch := func() *submitter {
			p.mu.Lock()
			defer p.mu.Unlock()
			known := p.watchLocked(ctx)
			known.refs++
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
