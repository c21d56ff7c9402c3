package loop

// waiters is a queue of parked coroutines, first come first served, linked
// through Task.before and Task.behind. It belongs to the one who has the baton.
// One that was canceled is still in it until it has had the baton, and is
// passed over.
type waitQueue struct{ first, last *Task }

func (w *waitQueue) push(t *Task) {
	t.inQueue, t.prevWaiter, t.nextWaiter = w, w.last, nil
	if w.last == nil {
		w.first = t
	} else {
		w.last.nextWaiter = t
	}
	w.last = t
}

// remove takes out t, if it is still there.
func (w *waitQueue) remove(t *Task) {
	if t.inQueue != w {
		return
	}
	if t.prevWaiter == nil {
		w.first = t.nextWaiter
	} else {
		t.prevWaiter.nextWaiter = t.nextWaiter
	}
	if t.nextWaiter == nil {
		w.last = t.prevWaiter
	} else {
		t.nextWaiter.prevWaiter = t.prevWaiter
	}
	t.inQueue, t.prevWaiter, t.nextWaiter = nil, nil, nil
}

// wait parks the caller until wakeOne or wakeAll comes to it, or its context
// ends.
func (w *waitQueue) wait(c caller, op op, on any) error {
	listener := c.listen()
	w.push(c.task())
	c.task().loop.mu.Lock()
	err := c.parkLocked(op, on, listener)
	w.remove(c.task())
	return err
}

// wakeOne wakes the first, and returns it, or nil if nobody waits.
func (w *waitQueue) wakeOne() *Task { return w.failOne(nil) }

// failOne is wakeOne with an error that the wait returns.
func (w *waitQueue) failOne(err error) *Task {
	for t := w.first; t != nil; t = w.first {
		w.remove(t)
		if t.loop.wake(t, err) {
			return t
		}
	}
	return nil
}

func (w *waitQueue) failAll(err error) {
	for w.failOne(err) != nil {
	}
}

// wakeAll wakes those who wait, and returns how many they were.
func (w *waitQueue) wakeAll() (n int) {
	for w.wakeOne() != nil {
		n++
	}
	return n
}
