package executor

import "context"

// A watcher is told once that a task settled. Those who wait are told first,
// then callbacks run in the order in which they were added: a slow callback
// keeps nobody from a result.
type watcher struct {
	next *watcher // guarded by the task's mu
	tell teller
}

type teller interface{ tell(*Task) }

// signal is a channel with room for one: telling never blocks.
type signal chan struct{}

func (s signal) tell(*Task) {
	select {
	case s <- struct{}{}:
	default:
	}
}

// closer is a channel that is closed to tell everybody.
type closer chan struct{}

func (c closer) tell(*Task) { close(c) }

// callback runs on the goroutine of the worker that settles the task.
type callback struct {
	ctx context.Context // given to OnDone
	run func(context.Context)
}

func (*callback) tell(*Task) {}

// watch adds a watcher, unless the task has settled: then it reports false
// and the watcher will not be told.
func (t *Task) watch(w *watcher) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		word := t.word.Load()
		if word&stateMask >= finished {
			return false
		}
		if t.word.CompareAndSwap(word, word|watched) {
			break
		}
	}
	w.next = t.watchers
	t.watchers = w
	return true
}

// unwatch removes a watcher. It reports false when it is too late: the
// watcher has been told or is just being told.
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

// notify tells the watchers of a settled task, newest first in the list. s is
// as for settle.
func (t *Task) notify(list *watcher, s *strand) {
	var callbacks *watcher // oldest first
	for list != nil {
		next := list.next
		if _, ok := list.tell.(*callback); ok {
			list.next, callbacks = callbacks, list
		} else {
			list.tell.tell(t)
		}
		list = next
	}
	switch {
	case callbacks == nil:
	case s == nil:
		// This goroutine is one on which an executor reads the results of its
		// workers, or it is somebody's who called Cancel, perhaps a worker
		// after all: a callback that submits or waits must not hold it up.
		go t.runCallbacks(callbacks, nil, nil)
	default:
		t.runCallbacks(callbacks, s, s.top())
	}
}

// runCallbacks runs callbacks in order. A panic in one, or its Goexit, is its
// own: it is logged, and the later ones run.
//
// s is the strand whose goroutine this is and self its newest task, or nil.
func (t *Task) runCallbacks(list *watcher, s *strand, self *Task) {
	ctx := &callbackContext{task: self, strand: s}
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
		c := list.tell.(*callback)
		ctx.Context = context.WithoutCancel(c.ctx)
		c.run(ctx)
		ctx.over.Store(true)
		ctx = &callbackContext{task: self, strand: s}
	}
}
