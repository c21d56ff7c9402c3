package worker

import (
	"math"

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
//	values     the rest: large arguments, from the start of the download until the task
//	           ends, and large results, until they are stored
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
	requested int64 // maximum total size of the messages that open requests may still return
	arguments int64 // size of large arguments
	results   int64 // size of large results

	waiting []*heldTask // tasks that wait for memory for their large arguments; the sizes were checked
}

// newMemory returns a memory. The parameter most is ServeOptions.MaxBytes.
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
// the field waiting.
func (m *memory) fits() bool {
	return len(m.waiting) > 0 && (m.arguments == 0 || m.arguments+m.results+m.waiting[0].large <= m.values)
}
