package gil

import (
	"slices"
	"time"
)

// waiter is a goroutine that waits for the lock.
type waiter struct {
	granted    chan struct{} // room for one: the lock is yours
	turn       uint64        // that goes on, or 0 for a new one
	since, due time.Duration
}

// line is one of the two in which goroutines wait: those of a line fall due after the same
// time, so who came first is due first.
type line int

const (
	fresh line = iota // by Do, or made to switch
	back              // from Release
)

// queue is all who wait.
type queue [2][]*waiter

func (q *queue) push(l line, w *waiter) { q[l] = append(q[l], w) }

// first returns who is due first, nil if nobody waits.
func (q *queue) first() *waiter {
	if l, ok := q.next(); ok {
		return q[l][0]
	}
	return nil
}

// pop takes out who is due first; somebody waits.
func (q *queue) pop() *waiter {
	l, _ := q.next()
	w := q[l][0]
	q[l][0] = nil
	if q[l] = q[l][1:]; len(q[l]) == 0 {
		q[l] = nil
	}
	return w
}

// next returns the line of who is due first. Who comes back goes before who is due in the
// same instant.
func (q *queue) next() (l line, ok bool) {
	if len(q[back]) > 0 && (len(q[fresh]) == 0 || q[back][0].due <= q[fresh][0].due) {
		return back, true
	}
	return fresh, len(q[fresh]) > 0
}

// remove takes one out who has given up. It reports false if he is not there any more.
func (q *queue) remove(w *waiter) bool {
	for l := range q {
		if i := slices.Index(q[l], w); i >= 0 {
			q[l] = slices.Delete(q[l], i, i+1)
			return true
		}
	}
	return false
}

// len is how many wait.
func (q *queue) len() int { return len(q[fresh]) + len(q[back]) }
