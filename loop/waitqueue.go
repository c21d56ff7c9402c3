package loop

// waiters is a queue of parked coroutines, first come first served, linked
// through Task.before and Task.behind. It belongs to the one who has the baton.
// One that was canceled is still in it until it has had the baton, and is
// passed over.
type waiters struct{ first, last *Task }

func (w *waiters) push(t *Task) {
	t.line, t.before, t.behind = w, w.last, nil
	if w.last == nil {
		w.first = t
	} else {
		w.last.behind = t
	}
	w.last = t
}

// remove takes out t, if it is still there.
func (w *waiters) remove(t *Task) {
	if t.line != w {
		return
	}
	if t.before == nil {
		w.first = t.behind
	} else {
		t.before.behind = t.behind
	}
	if t.behind == nil {
		w.last = t.before
	} else {
		t.behind.before = t.before
	}
	t.line, t.before, t.behind = nil, nil, nil
}

// wait parks the caller until wakeOne or wakeAll comes to it, or its context
// ends.
func (w *waiters) wait(c caller, op op, on any) error {
	ear := c.attend()
	w.push(c.task())
	c.task().loop.mu.Lock()
	err := c.parkLocked(op, on, ear)
	w.remove(c.task())
	return err
}

// wakeOne wakes the first, and returns it, or nil if nobody waits.
func (w *waiters) wakeOne() *Task { return w.failOne(nil) }

// failOne is wakeOne with an error that the wait returns.
func (w *waiters) failOne(err error) *Task {
	for t := w.first; t != nil; t = w.first {
		w.remove(t)
		if t.loop.wake(t, err) {
			return t
		}
	}
	return nil
}

func (w *waiters) failAll(err error) {
	for w.failOne(err) != nil {
	}
}

// wakeAll wakes those who wait, and returns how many they were.
func (w *waiters) wakeAll() (n int) {
	for w.wakeOne() != nil {
		n++
	}
	return n
}
