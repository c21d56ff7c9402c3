package executor

import "context"

// watcher is notified once, when its task settles. Waiting goroutines are
// notified first. Then callbacks run in the order in which they were added, so
// a slow callback does not delay a waiting goroutine.
type watcher struct {
	next *watcher // guarded by the task's mu
	to   listener
}

type listener interface{ notify(*Task) }

// signal is a channel with a buffer of one, so that notify never blocks.
type signal chan struct{}

func (s signal) notify(*Task) {
	select {
	case s <- struct{}{}:
	default:
	}
}

// closer is a channel that notify closes, which wakes all its receivers.
type closer chan struct{}

func (c closer) notify(*Task) { close(c) }

// callback runs on the goroutine of the worker that settles the task.
type callback struct {
	ctx context.Context // given to OnDone
	run func(context.Context)
}

func (*callback) notify(*Task) {}

// watch adds a watcher. It returns false if the task has settled: then the
// watcher is not notified.
func (t *Task) watch(w *watcher) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		status := t.status.Load()
		if status&stateMask >= finished {
			return false
		}
		if t.status.CompareAndSwap(status, status|watched) {
			break
		}
	}
	w.next = t.watchers
	t.watchers = w
	return true
}

// unwatch removes a watcher. It returns false if the watcher has been notified,
// or is about to be.
func (t *Task) unwatch(w *watcher) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := &t.watchers; *p != nil; p = &(*p).next {
		if *p == w {
			*p = w.next
			return true
		}
	}
	return false
}

// notify notifies the watchers of a settled task. The list begins with the
// newest watcher. s is the same as for settle.
func (t *Task) notify(list *watcher, s *carrier) {
	var callbacks *watcher // oldest first
	for list != nil {
		next := list.next
		if _, ok := list.to.(*callback); ok {
			list.next, callbacks = callbacks, list
		} else {
			list.to.notify(t)
		}
		list = next
	}
	switch {
	case callbacks == nil:
	case s == nil:
		// This may be a goroutine on which an executor reads the results of its
		// workers, or one that has called Cancel. A callback that submits or
		// waits must not block it.
		go t.runCallbacks(callbacks, nil, nil)
	default:
		t.runCallbacks(callbacks, s, s.top())
	}
}

// runCallbacks runs callbacks in order. If one panics or calls runtime.Goexit,
// this is logged, and the later ones run.
//
// s is the carrier whose goroutine this is and self its newest task, or nil.
func (t *Task) runCallbacks(list *watcher, s *carrier, self *Task) {
	ctx := &callbackContext{task: self, carrier: s}
	defer func() {
		if list == nil {
			return
		}
		ctx.over.Store(true)
		err := ErrGoexit
		if v := recover(); v != nil {
			err = NewPanicError(v)
		}
		logApart("concert: a callback failed", "of", t.Name(), "error", err)
		t.runCallbacks(list.next, s, self)
	}()
	for ; list != nil; list = list.next {
		c := list.to.(*callback)
		ctx.Context = context.WithoutCancel(c.ctx)
		c.run(ctx)
		ctx.over.Store(true)
		ctx = &callbackContext{task: self, carrier: s}
	}
}
