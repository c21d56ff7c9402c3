package dashboard

import (
	"sync"

	"concert"
)

// watcher is a Source whose tasks can be observed.
type watcher interface {
	Watch(concert.Observer) (stop func())
}

// attachment is the connection of an observer to a source. The goroutine of the
// hub attaches, and any goroutine detaches. Calls of Watch and of stop never
// overlap.
type attachment struct {
	mu     sync.Mutex
	stop   func() // guarded by mu: nil if the observer is not attached
	denied bool   // guarded by mu: whether the source has no tasks to observe
	closed bool   // guarded by mu: whether close was called
	period int64  // guarded by mu: the last period in which attach was called
}

// attach attaches the observer for a period, unless it is attached.
func (a *attachment) attach(period int64, s Source, o concert.Observer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.period = period
	if a.stop != nil || a.denied || a.closed {
		return
	}
	w, ok := s.(watcher)
	if !ok {
		a.denied = true
		return
	}
	a.stop = w.Watch(o)
}

// detach detaches the observer, if it is attached.
func (a *attachment) detach() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.detachLocked()
}

func (a *attachment) detachLocked() {
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}

// close detaches the observer permanently.
func (a *attachment) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.detachLocked()
}

// detachIn detaches the observer, unless a later period has begun. The
// observer starts a goroutine that calls detachIn, and this goroutine may be
// late.
func (a *attachment) detachIn(period int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.period == period {
		a.detachLocked()
	}
}

// isPossible reports whether the source has tasks to observe.
func (a *attachment) isPossible() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.denied
}
