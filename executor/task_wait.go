package executor

import (
	"context"
	"slices"
)

// Wait blocks until the task has settled, and returns nil. If ctx ends first,
// it returns the cause of ctx. In a task, with the task's own context, it may
// run the awaited task on the calling goroutine. It returns [ErrDeadlock] if
// the wait could never end.
func (t *Task) Wait(ctx context.Context) error {
	if t.Settled() {
		return nil
	}
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return t.waitUnlocked(ctx) })
	}
	return t.waitUnlocked(ctx)
}

func (t *Task) waitUnlocked(ctx context.Context) error {
	s, self := carrierOf(ctx)
	if s == nil {
		return t.waitOutside(ctx)
	}
	return s.await(ctx, self, t)
}

// waitOutside does the same as Wait, on a goroutine that is not a worker.
func (t *Task) waitOutside(ctx context.Context) error {
	// Another wait cannot reuse this channel: a channel that was made in a
	// bubble of testing/synctest must not be used outside of the bubble.
	settled := make(signal, 1)
	watch := &watcher{to: settled}
	if !t.watch(watch) {
		return nil
	}
	ended := t.queuedEnd(ctx)
	for {
		select {
		case <-settled:
			return nil
		case <-ended:
			ended = nil
			t.expire()
		case <-ctx.Done():
			if !t.unwatch(watch) {
				return nil // the task has just settled
			}
			return context.Cause(ctx)
		}
	}
}

// queuedEnd is for a wait with ctx. It returns a channel that is closed when
// the submitter's context ends. It returns nil if the task is not in a
// queue, or if ctx is the submitter's context.
func (t *Task) queuedEnd(ctx context.Context) <-chan struct{} {
	parent := t.ctx.Parent
	if t.state() != pending || ctx == parent {
		return nil
	}
	return parent.Done()
}

// await waits for t, as Task.Wait does, on a goroutine of the task self. s
// is the carrier that runs self.
func (s *carrier) await(ctx context.Context, self, t *Task) error {
	settled := make(signal, 1)
	watch := &watcher{to: settled}
	watching := false
	defer func() {
		if watching {
			t.unwatch(watch)
		}
	}()
	for {
		if ctx.Err() != nil {
			if t.Settled() {
				return nil
			}
			return context.Cause(ctx)
		}
		if !hasEarlierDeadline(ctx, self) {
			s.tryNested(t)
		}
		if t.Settled() {
			return nil
		}
		if !watching {
			if watching = t.watch(watch); !watching {
				return nil
			}
			if t.queuedEnd(ctx) != nil {
				defer expireLater(ctx, []*Task{t})()
			}
		}
		if err := s.block(ctx, self, settled, []*Task{t}, nil); err != nil && !t.Settled() {
			return err
		}
	}
}

// hasEarlierDeadline reports whether ctx has an earlier deadline than the
// waiting task. A nested task would not end at the deadline of ctx.
func hasEarlierDeadline(ctx context.Context, self *Task) bool {
	if ctx == self.context() {
		return false
	}
	d, ok := ctx.Deadline()
	if !ok {
		return false
	}
	own, ok := self.ctx.Deadline()
	return !ok || d.Before(own)
}

// tryNested runs the task as a nested task if it is in the queue of this
// carrier's group. If another carrier has started the task before, tryNested
// returns true, too.
func (s *carrier) tryNested(t *Task) bool {
	if t.group != s.worker.group || t.state() != pending {
		return false
	}
	s.runNested(t)
	t.group.queue.Dropped()
	return true
}

// openEvery means that every 16th nested task of a stack creates the Done
// channel of its context. Otherwise a deep stack would have a long chain of
// contexts without channels, and methods of these contexts would walk the whole
// chain (see package lazy).
const openEvery = 16

// runNested runs a queued task of the worker's group on top of the task that
// waits for it. It reports false if the task was no longer queued.
func (s *carrier) runNested(t *Task) bool {
	if !s.start(t) {
		return false
	}
	s.mu.Lock()
	s.nested = append(s.nested, t)
	n := len(s.nested)
	s.mu.Unlock()
	if n%openEvery == 0 {
		t.context().Done()
	}
	again := true // stays true if the task ends the goroutine
	defer func() {
		if s.suspended.Load() {
			s.reclaim()
		}
		s.ended.Add(1)
		s.mu.Lock()
		i := lastIndex(s.nested, t)
		s.nested = slices.Delete(s.nested, i, i+1)
		s.mu.Unlock()
		if again {
			s.again(t)
		}
	}()
	again = t.job.run(t)
	return true
}

// WaitRoom waits until an executor's queue has room. Execute calls it. It
// returns nil when it has received an element from ready, or ready is
// closed. When ctx ends, it returns the cause of ctx, and has received no
// element. If ready and ctx are done at the same time, WaitRoom does one of
// the two. So Execute should check ready before it calls WaitRoom. If ctx is
// the context of a task, the wait takes part in the search for deadlocks:
// the worker of the task may run other tasks, and the error is ErrDeadlock
// if there can never be room. Do not hold a lock while calling WaitRoom.
func (g *WorkerGroup) WaitRoom(ctx context.Context, ready <-chan struct{}) error {
	if r := ReleaserOf(ctx); r != nil {
		return released(r, func() error { return g.waitRoom(ctx, ready) })
	}
	return g.waitRoom(ctx, ready)
}

func (g *WorkerGroup) waitRoom(ctx context.Context, ready <-chan struct{}) error {
	if s, self := carrierOf(ctx); s != nil {
		return s.block(ctx, self, ready, nil, g)
	}
	return waitFor(ctx, ready)
}

// watcher is notified once, when its task settles. Waiting goroutines are
// notified first. Then callbacks run in the order in which they were added, so
// a slow callback does not delay a waiting goroutine.
type watcher struct {
	next *watcher // guarded by the task's mu
	to   listener
}

type listener interface{ notify(*Task) }

// signal is a channel with a buffer of one, so that signal.notify never blocks.
type signal chan struct{}

func (s signal) notify(*Task) {
	select {
	case s <- struct{}{}:
	default:
	}
}

// closer is a channel. closer.notify closes it, and so wakes all its receivers.
type closer chan struct{}

func (c closer) notify(*Task) { close(c) }

// callback runs on the goroutine of the worker that settles the task.
type callback struct {
	ctx context.Context // the context that was given to OnDone
	run func(context.Context)
}

func (*callback) notify(*Task) {}

// watch adds a watcher. If the task has settled, it returns false, and the
// watcher is never notified.
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

// unwatch removes a watcher. It returns false if the watcher was notified
// already, or will be notified soon.
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
// newest watcher. s is the carrier whose goroutine calls, or nil.
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

// runCallbacks runs the callbacks of list in order. If a callback panics or
// calls runtime.Goexit, runCallbacks logs this, and continues with the next
// one.
//
// s is the carrier whose goroutine calls, and self is the newest task on it.
// Both are nil on other goroutines.
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
