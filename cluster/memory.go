package cluster

import (
	"cmp"
	"math"
	"slices"

	"concert/cluster/internal/wire"
)

// defaultBytes is what ServeOptions.MaxBytes is by default, and leastBytes what it
// is at least.
const (
	defaultBytes = 128 << 20
	leastBytes   = 16 * wire.LargestPost
)

// memory bounds how many bytes of tasks a worker holds. Messages have a part of it
// for themselves, so that tasks with large values do not keep others from coming:
//
//	messages   a quarter: those that are held or were asked for
//	values     the rest: large arguments, from before they are fetched until their
//	           tasks end, and large results until they are stored
//
// A task with a large argument waits until there is room for it. One whose argument
// has more bytes than that is alone. Nothing bounds a result before it is there;
// so no task starts while results take all of the room.
//
// All of it is guarded by the worker's mu.
type memory struct {
	messages int64 // most of held and asked
	values   int64 // most of arguments and results

	held      int64 // of messages of tasks that are held
	asked     int64 // of messages that may come
	arguments int64
	results   int64

	waiting []*delivery // tasks with a large argument, of a size that was checked
}

// newMemory returns the memory for ServeOptions.MaxBytes.
func newMemory(most int64) memory {
	switch {
	case most < 0:
		most = math.MaxInt64 / 2
	case most == 0:
		most = defaultBytes
	}
	most = max(most, leastBytes)
	return memory{messages: most / 4, values: most - most/4}
}

// askable returns how many bytes of messages may be asked for now: room for one at
// least, or 0. It leaves something for other requests.
func (m *memory) askable() int64 {
	free := m.messages - m.held - m.asked
	if free < wire.LargestPost {
		return 0
	}
	return max(wire.LargestPost, free/2)
}

// fits reports whether there is room for the argument of the first task that waits
// for that.
func (m *memory) fits() bool {
	return len(m.waiting) > 0 && (m.arguments == 0 || m.arguments+m.results+m.waiting[0].large <= m.values)
}

// next takes the task that is to start next from what is ready, or waits for
// memory; nil if there is none that can. The caller holds mu.
func (w *worker) next() *delivery {
	m := &w.memory
	if m.results > m.values {
		return nil
	}
	from := &w.ready
	if m.fits() && (len(w.ready) == 0 || cmp.Compare(m.waiting[0].came.UnixNano(), w.ready[0].came.UnixNano()) < 0) {
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

// queue has a task wait for a place, and for memory for its large argument.
func (w *worker) queue(d *delivery) {
	w.mu.Lock()
	if d.large > 0 {
		w.memory.waiting = append(w.memory.waiting, d)
	} else {
		w.ready = append(w.ready, d)
	}
	w.mu.Unlock()
	w.start()
}

// stowed is called when a large result is stored, or cannot be.
func (w *worker) stowed(bytes int) {
	w.mu.Lock()
	w.memory.results -= int64(bytes)
	w.mu.Unlock()
	w.start()
}

// hold holds a task. The caller holds mu.
func (w *worker) hold(d *delivery) {
	w.held[d.key], w.tries[d.try] = d, d
	w.memory.held += d.bytes
}

// unqueue takes a task out of the queue in which it waits, and reports whether it
// was there. The caller holds mu.
func (w *worker) unqueue(d *delivery) bool {
	for _, queue := range []*[]*delivery{&w.ready, &w.memory.waiting} {
		if i := slices.Index(*queue, d); i >= 0 {
			*queue = slices.Delete(*queue, i, i+1)
			return true
		}
	}
	return false
}
