package worker

import (
	"container/list"
	"math"

	"concert/cluster/internal/wire"
	"concert/executor"
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
//	values     the rest:
//	             large arguments, from the start of the download until the task ends
//	             large results, until they are stored
//	             shared values, see shared.go
//
// A task with a large argument or shared values waits until they fit. A shared
// value counts once for all tasks that use it, and idle shared values do not
// prevent a task from starting, because the worker can evict them. If the
// argument and the shared values of a task are larger than the limit of values,
// the task may start when the other tasks use no large values. The size of a
// result is not known before the result exists. So while results exceed the
// limit of values, no task starts.
//
// The worker's mu guards all fields.
type memory struct {
	messages int64 // limit of the sum of held and requested
	values   int64 // limit of the sum of arguments, results, used and unused

	held      int64 // size of the messages of held tasks
	requested int64 // maximum total size of the messages that open requests may still return
	arguments int64 // size of large arguments
	results   int64 // size of large results
	used      int64 // memory of shared values that running tasks use
	unused    int64 // memory of idle shared values

	shared map[sharedKey]*sharedValue           // all values in used and unused; nil after the worker has ended
	byID   map[executor.SharedID][]*sharedValue // the values in shared
	idle   list.List                            // the idle values; the value that became idle last is first

	waiting []*heldTask // tasks that wait for memory for their large arguments and shared values; the sizes of arguments were checked
}

// newMemory returns a memory. The parameter is ServeOptions.MaxBytes.
func newMemory(most int64) memory {
	switch {
	case most < 0:
		most = math.MaxInt64 / 2
	case most == 0:
		most = defaultMaxBytes
	}
	most = max(most, minMaxBytes)
	return memory{messages: most / 4, values: most - most/4, shared: map[sharedKey]*sharedValue{}, byID: map[executor.SharedID][]*sharedValue{}}
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

// fits reports whether there is memory for waiting[0]: for its large argument
// and its shared values. It always fits if there are no large arguments in
// memory and no shared values in use.
func (m *memory) fits() bool {
	if len(m.waiting) == 0 {
		return false
	}
	d := m.waiting[0]
	need := d.large
	for i := range d.Shared {
		if v := m.shared[sharedKey{d.Shared[i].ID, d.ID.Client}]; v == nil || v.users == 0 {
			need += memoryOf(&d.Shared[i])
		}
	}
	return need == 0 || m.arguments+m.used == 0 || m.arguments+m.used+m.results+need <= m.values
}

// lacking returns the number of tasks that wait for memory, and not only for a
// slot.
func (m *memory) lacking() int {
	if m.fits() {
		return 0
	}
	return len(m.waiting)
}
