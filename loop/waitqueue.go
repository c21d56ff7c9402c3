package loop

// waitQueue is a queue of parked coroutines, first in, first out, linked by
// Task.prevWaiter and Task.nextWaiter. Only the holder of the scheduler lock
// uses it.
//
// If the wait of a coroutine is canceled, the coroutine stays in the queue
// until it runs. wakeOne skips it.
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

// remove removes t, if it is in the queue.
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

// wait adds the caller to the queue and parks it, until it is woken or its
// context ends. The parameter on is stored in Task.waitTarget.
func (w *waitQueue) wait(c caller, op op, on any) error {
	listener := c.listen()
	w.push(c.task())
	c.task().loop.mu.Lock()
	err := c.parkLocked(op, on, listener)
	w.remove(c.task())
	return err
}

// wakeOne wakes the first coroutine and returns it, or nil if none waits.
func (w *waitQueue) wakeOne() *Task { return w.failOne(nil) }

// failOne does the same as wakeOne, but the wait of the coroutine returns err.
func (w *waitQueue) failOne(err error) *Task {
	for t := w.first; t != nil; t = w.first {
		w.remove(t)
		if t.loop.wake(t, err) {
			return t
		}
	}
	return nil
}

// failAll wakes all coroutines. Their waits return err.
func (w *waitQueue) failAll(err error) {
	for w.failOne(err) != nil {
	}
}

// wakeAll wakes all coroutines, and returns the number of coroutines that it
// has woken.
func (w *waitQueue) wakeAll() (n int) {
	for w.wakeOne() != nil {
		n++
	}
	return n
}
