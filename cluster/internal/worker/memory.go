package worker

import (
	"cmp"
	"math"
	"slices"

	"concert/cluster/internal/wire"
)

// defaultMaxBytes is the default of ServeOptions.MaxBytes, and minMaxBytes is
// its minimum.
const (
	defaultMaxBytes = 128 << 20
	minMaxBytes     = 16 * wire.MaxMessageBytes
)

// memory limits the memory of the tasks that a worker holds. Messages and large
// values have separate limits, so that large values do not prevent new tasks
// from arriving:
//
//	messages   a quarter of the limit: held and requested messages
//	values     the rest: a large argument from before its download until its task
//	           ends, and a large result until it is stored
//
// A task with a large argument waits until the argument fits. If the argument
// is larger than the limit of values, the task may start when the worker holds
// no other large argument. The size of a result is not known before the result
// exists. So while results exceed the limit of values, no task starts.
//
// The worker's mu guards all fields.
type memory struct {
	messages int64 // limit of the sum of held and requested
	values   int64 // limit of the sum of arguments and results

	held      int64 // size of the messages of held tasks
	requested int64 // maximum size of messages that may still arrive for requests
	arguments int64 // size of large arguments
	results   int64 // size of large results

	waiting []*heldTask // tasks that wait for memory for their large argument, whose size was checked
}

// newMemory returns a memory with a limit, which is ServeOptions.MaxBytes.
func newMemory(most int64) memory {
	switch {
	case most < 0:
		most = math.MaxInt64 / 2
	case most == 0:
		most = defaultMaxBytes
	}
	most = max(most, minMaxBytes)
	return memory{messages: most / 4, values: most - most/4}
}

// requestable returns the maximum size of the messages that the next request
// may return: at least the size of the largest message, or 0. It leaves some
// bytes for other requests.
func (m *memory) requestable() int64 {
	free := m.messages - m.held - m.requested
	if free < wire.MaxMessageBytes {
		return 0
	}
	return max(wire.MaxMessageBytes, free/2)
}

// fits reports whether there is memory for the argument of the first task in
// waiting.
func (m *memory) fits() bool {
	return len(m.waiting) > 0 && (m.arguments == 0 || m.arguments+m.results+m.waiting[0].large <= m.values)
}

// nextLocked removes the task that starts next from its queue, and returns it:
// the older one of the first task in ready and the first task in waiting, which
// counts only if it fits. nextLocked returns nil if no task can start.
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
	return d
}

// queue queues a task until there is a slot, and memory for its large argument.
func (w *worker) queue(d *heldTask) {
	w.mu.Lock()
	if d.large > 0 {
		w.memory.waiting = append(w.memory.waiting, d)
	} else {
		w.ready = append(w.ready, d)
	}
	w.mu.Unlock()
	w.startReady()
}

// uploaded is called when a large result has been stored, or could not be
// stored.
func (w *worker) uploaded(bytes int) {
	w.mu.Lock()
	w.memory.results -= int64(bytes)
	w.mu.Unlock()
	w.startReady()
}

// holdLocked adds a task to held.
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
