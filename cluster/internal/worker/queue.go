package worker

import (
	"cmp"
	"slices"
)

// nextLocked removes the task that starts next from its queue, and returns it.
// There are two candidates: the first task of w.ready, and the first task of
// memory.waiting, if there is memory for it. nextLocked takes the older one. It
// returns nil if no task can start.
func (w *worker) nextLocked() *heldTask {
	m := &w.memory
	if m.results > m.values {
		return nil
	}
	from := &w.ready
	if m.fits() && (len(w.ready) == 0 || cmp.Compare(m.waiting[0].received.UnixNano(), w.ready[0].received.UnixNano()) < 0) {
		from = &m.waiting
	}
	if len(*from) == 0 {
		return nil
	}
	d := (*from)[0]
	(*from)[0] = nil
	*from = (*from)[1:]
	m.arguments += d.large
	if d.large > 0 {
		w.makeRoomLocked()
	}
	if len(d.Shared) > 0 {
		w.reserveLocked(d)
	}
	return d
}

// queue adds a task to a queue, in which the task waits for a slot, and for
// memory for its large argument and its shared values.
func (w *worker) queue(d *heldTask) {
	w.mu.Lock()
	if d.large > 0 || len(d.Shared) > 0 {
		w.memory.waiting = append(w.memory.waiting, d)
	} else {
		w.ready = append(w.ready, d)
	}
	w.mu.Unlock()
	w.startReady()
}

// uploaded frees the memory of a large result that has been stored, or could
// not be stored.
func (w *worker) uploaded(bytes int) {
	w.mu.Lock()
	w.memory.results -= int64(bytes)
	w.mu.Unlock()
	w.startReady()
}

func (w *worker) holdLocked(d *heldTask) {
	w.held[d.key], w.tries[d.try] = d, d
	w.memory.held += d.bytes
}

// unqueueLocked removes a task from its queue, and reports whether the task was
// in a queue.
func (w *worker) unqueueLocked(d *heldTask) bool {
	for _, queue := range []*[]*heldTask{&w.ready, &w.memory.waiting} {
		if i := slices.Index(*queue, d); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
			return true
		}
	}
	return false
}
