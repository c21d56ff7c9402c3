package cluster

import (
	"context"
	"sync/atomic"
)

// watch is what has the calls of a batch be cancelled when the context of their submitter ends. There is one for all of them, until the last one
// has settled.
type watch struct {
	left atomic.Int64 // calls that have not settled, and one for who begins it
	stop func() bool  // written before the last release, which reads it
}

// watch begins one for the calls of a batch, which have not been sent.
func (e *Executor) watch(calls []*call) {
	if len(calls) == 0 {
		return
	}
	parent := calls[0].batch.Parent()
	if parent.Done() == nil {
		return
	}
	w := &watch{}
	w.left.Store(int64(len(calls)) + 1)
	for _, c := range calls {
		c.mu.Lock()
		if c.watch = w; c.settled { // meanwhile, by a Shutdown
			w.left.Add(-1)
		}
		c.mu.Unlock()
	}
	w.stop = context.AfterFunc(parent, func() {
		for _, c := range calls {
			e.unwanted(c)
		}
	})
	w.release()
}

// release is told that a call has settled.
func (w *watch) release() {
	if w.left.Add(-1) == 0 {
		w.stop()
	}
}
