package executor

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// observers are the observers of a group. The slice never changes: Watch
// replaces it.
type observers []*guardedObserver

// newObservers returns a list with the observer, or nil if the observer is nil.
func newObservers(o Observer) *observers {
	if o == nil {
		return nil
	}
	return &observers{newGuardedObserver(o)}
}

// call calls each observer, as guardedObserver.call does.
func (list observers) call(e Event) {
	if len(list) == 0 {
		return
	}
	defer list[1:].call(e) // runs even if the first observer ends the goroutine
	list[0].call(e)
}

// callIsolated calls each observer, as guardedObserver.callIsolated does.
func (list observers) callIsolated(e Event) {
	for _, g := range list {
		g.callIsolated(e)
	}
}

// Watch adds an observer to the executor of the group, in addition to the
// observer that the group was made with. It implements [Executor.Watch].
func (g *WorkerGroup) Watch(o Observer) (stop func()) {
	if o == nil {
		panic("executor: Watch with a nil Observer")
	}
	w := newGuardedObserver(o)
	g.changeObservers(func(list observers) observers { return append(slices.Clip(list), w) })
	return sync.OnceFunc(func() {
		g.changeObservers(func(list observers) observers {
			return slices.DeleteFunc(slices.Clone(list), func(other *guardedObserver) bool { return other == w })
		})
		w.end()
	})
}

// changeObservers replaces the list of observers. The list is nil if it would
// be empty, so that a task needs only one load to find that there are none.
func (g *WorkerGroup) changeObservers(change func(observers) observers) {
	for {
		before := g.observers.Load()
		var list observers
		if before != nil {
			list = *before
		}
		after := &list
		if list = change(list); len(list) == 0 {
			after = nil
		}
		if g.observers.CompareAndSwap(before, after) {
			return
		}
	}
}

// calls counts the running calls of an observer. The function that Watch
// returns waits for them:
//
//  1. A call increments the count, and only then checks whether the observer
//     has ended.
//  2. end sets the bit callsOver, and only then checks the count.
//
// So either the call finds that the observer has ended, or end finds the call
// and waits for it.
type calls struct {
	state atomic.Int64  // the number of calls, and the bit callsOver
	idle  chan struct{} // closed when the observer has ended and no call runs
	once  sync.Once     // used to close idle
}

const callsOver = 1 << 62

// begin reports whether the observer may be called. If it reports true, the
// caller must call leave when the observer has returned.
func (c *calls) begin() bool {
	if c.state.Add(1)&callsOver == 0 {
		return true
	}
	c.leave()
	return false
}

func (c *calls) leave() {
	if c.state.Add(-1) == callsOver {
		c.once.Do(func() { close(c.idle) })
	}
}

// over reports whether end was called.
func (c *calls) over() bool { return c.state.Load()&callsOver != 0 }

// end makes begin report false. It waits until no call runs, but at most
// observerTime: a call may never return, or may itself have called end.
func (c *calls) end() {
	if c.state.Or(callsOver) == 0 {
		return
	}
	select {
	case <-c.idle:
	case <-time.After(observerTime):
	}
}
