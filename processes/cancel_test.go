package processes

import (
	"context"
	"testing"
	"testing/synctest"
)

// TestCancel_ContextAlreadyEnded: the pool has watched a context for earlier
// calls, and the context has ended. If another call is then submitted with
// this context, the pool must watch the context again. Otherwise it would
// not cancel the call.
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
			t.Error("two calls with the same context, which has not ended, have different submitters")
		}
		cancel()
		synctest.Wait()
		if watch() == first {
			t.Error("a call that is submitted after the end of its context has the submitter of earlier calls, whose AfterFunc has run")
		}
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.submitters) > 0 {
			t.Errorf("%d contexts are still watched", len(p.submitters))
		}
	})
}
