package gil

import (
	"slices"
	"time"
)

// waiter is a goroutine that waits for the lock.
type waiter struct {
	granted    chan struct{} // gets an element when the waiter holds the lock; has a buffer for one
	turn       uint64        // the number of the turn that acquires the lock again, or 0 for a new turn
	since, due time.Duration
}

// line is one of the two lines of the queue. Waiters of a line become due
// after the same time, so the waiters of each line are in the order in which
// they become due.
type line int

const (
	fresh line = iota // waiters that called Do, or handed over the lock at a checkpoint
	back              // waiters that return from the function of Release
)

// queue has all waiters of a lock.
type queue [2][]*waiter

func (q *queue) push(l line, w *waiter) { q[l] = append(q[l], w) }

// first returns the waiter that becomes due first, or nil if there is none.
func (q *queue) first() *waiter {
	if l, ok := q.next(); ok {
		return q[l][0]
	}
	return nil
}

// pop removes the waiter that becomes due first. The queue is not empty.
func (q *queue) pop() *waiter {
	l, _ := q.next()
	w := q[l][0]
	q[l][0] = nil
	if q[l] = q[l][1:]; len(q[l]) == 0 {
		q[l] = nil
	}
	return w
}

// next returns the line of the waiter that becomes due first. If two waiters
// become due at the same time, the waiter that returns from Release is first.
func (q *queue) next() (l line, ok bool) {
	if len(q[back]) > 0 && (len(q[fresh]) == 0 || q[back][0].due <= q[fresh][0].due) {
		return back, true
	}
	return fresh, len(q[fresh]) > 0
}

// remove removes a waiter that has given up. It reports false if w is not in
// the queue.
func (q *queue) remove(w *waiter) bool {
	for l := range q {
		if i := slices.Index(q[l], w); i >= 0 {
			q[l] = slices.Delete(q[l], i, i+1)
			return true
		}
	}
	return false
}

// len returns the number of waiters.
func (q *queue) len() int { return len(q[fresh]) + len(q[back]) }
