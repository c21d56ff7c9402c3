package cluster

import (
	"context"
	"sync/atomic"
)

// watch cancels the subscribers of a batch when the context of their submitter
// ends. All subscribers of the batch share it, until the last one has settled.
type watch struct {
	left atomic.Int64 // subscribers that have not settled, and one for the caller of Executor.watch
	stop func() bool  // written before the last release, which reads it
}

// watch begins a watch for the subscribers that the calls of a batch were made
// for. The calls have not been sent.
func (e *Executor) watch(calls []*call) {
	if len(calls) == 0 {
		return
	}
	parent := calls[0].own.batch.Parent()
	if parent.Done() == nil {
		return
	}
	w := &watch{}
	w.left.Store(int64(len(calls)) + 1)
	for _, c := range calls {
		s := &c.own
		s.mu.Lock()
		if s.watch = w; s.settled { // in the meantime, by a Shutdown or with the call that it has joined
			w.left.Add(-1)
		}
		s.mu.Unlock()
	}
	w.stop = context.AfterFunc(parent, func() {
		for _, c := range calls {
			e.leave(&c.own)
		}
	})
	w.release()
}

// release is called when a subscriber has settled.
func (w *watch) release() {
	if w.left.Add(-1) == 0 {
		w.stop()
	}
}
