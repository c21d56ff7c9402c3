package executor

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// guardedObserver calls the observer of an executor. It contains panics of the
// observer, and calls by tellApart that do not return.
type guardedObserver struct {
	observer Observer
	failed   sync.Once    // logs the first failure
	stuck    atomic.Int32 // calls by tellApart that have not returned in time
	dropped  atomic.Int64 // events since stuck was 0
}

// observerTime is how long tellApart waits for the observer.
const observerTime = time.Second

// newGuardedObserver returns nil if o is nil.
func newGuardedObserver(o Observer) *guardedObserver {
	if o == nil {
		return nil
	}
	return &guardedObserver{observer: o}
}

// tell calls the observer on this goroutine, which is the submitter's or a
// task's. It logs the first failure, also a call of runtime.Goexit, which it
// cannot contain.
func (g *guardedObserver) call(e Event) {
	returned := false
	defer func() {
		if returned {
			return
		}
		err := ErrGoexit
		if v := recover(); v != nil {
			err = NewPanicError(v)
		}
		g.failed.Do(func() {
			logApart("concert: an Observer failed; it is still called, and further failures are not logged", "event", e.Kind.String(), "of", e.Name, "error", err)
		})
	}()
	g.observer(e)
	returned = true
}

// tellApart calls the observer on a goroutine of its own, for events that
// happen on a goroutine which the executor needs. Steps:
//
//  1. It waits for the observer, so that the events of a task stay in order.
//  2. If the observer does not return within observerTime, the call is stuck,
//     and tellApart returns.
//  3. While a call is stuck, tellApart drops events: each one would wait too,
//     and with it all tasks of the executor.
//  4. When the last stuck call returns, the number of dropped events is logged.
func (g *guardedObserver) callIsolated(e Event) {
	if g.stuck.Load() > 0 {
		g.dropped.Add(1)
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.call(e)
	}()
	timeout := time.NewTimer(observerTime)
	defer timeout.Stop()
	select {
	case <-done:
		return
	case <-timeout.C:
	}
	if g.stuck.Add(1) == 1 {
		logApart("concert: an Observer does not return; until it does, the executor drops events", "event", e.Kind.String(), "of", e.Name, "after", observerTime)
	}
	go func() {
		<-done
		if g.stuck.Add(-1) == 0 {
			logApart("concert: an Observer has returned", "event", e.Kind.String(), "of", e.Name, "dropped events", g.dropped.Swap(0))
		}
	}()
}

// logApart logs an error on another goroutine, since the handler of slog is the
// program's as well.
func logApart(text string, args ...any) {
	go guarded(func() { slog.Error(text, args...) })
}
