package goroutines

import (
	"concert/executor"
)

// entry is a submitter that waits for room. The goroutine that makes room puts
// the task of the entry into the queue. So an entry whose context ends does not
// use the turn of another one.
type entry struct {
	task *executor.Task
	in   chan struct{} // closed when the task is in the queue, or refused
	err  error         // why it was refused; written before in is closed

	next, prev *entry
}

// line is a first-in first-out list of entries that may leave in between.
type line struct{ first, last *entry }

func (l *line) push(e *entry) {
	if e.prev = l.last; e.prev != nil {
		e.prev.next = e
	} else {
		l.first = e
	}
	l.last = e
}

func (l *line) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		l.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		l.last = e.prev
	}
	e.next, e.prev = nil, nil
}
