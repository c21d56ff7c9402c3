package goroutines

import (
	"sync/atomic"

	"concert/executor"
)

// queue is a first-in first-out queue of tasks, a chain of segments:
//
//	head                      tail
//	[xxxx----] -> [--------] -> [---     ]
//	     ^ taken                   ^ filled
//
// Producers hold the pool's lock. Consumers do not: they claim slots of the
// head segment by moving its taken mark with a compare-and-swap. On two
// processors that took a third off a Submit, since the lock of a short queue
// is never free for long.
//
// A segment is used once, so a consumer that was held up with an old one in
// hand finds it exhausted, goes on to the next, and cannot take a slot twice.
type queue struct {
	head atomic.Pointer[segment] // where consumers look

	_      cacheLine
	tail   *segment // guarded by the pool's lock
	pushed int64    // guarded by the pool's lock
}

type segment struct {
	base int64 // number of tasks pushed before this segment
	next atomic.Pointer[segment]

	_      cacheLine
	taken  atomic.Int32 // slots[:taken] are consumed; segmentSize when closed
	_      cacheLine
	filled atomic.Int32 // slots[:filled] have a task; moved by producers
	_      cacheLine
	slots  [segmentSize]*executor.Task // written before filled covers it; then the claimer's
}

// cacheLine keeps what producers write apart from what consumers read all the
// time, which would otherwise travel between processors for nothing.
type cacheLine [64]byte

const segmentSize = 128

func (q *queue) init() {
	s := &segment{base: q.pushed}
	q.tail = s
	q.head.Store(s)
}

// push adds a task. The caller holds the pool's lock.
func (q *queue) push(t *executor.Task) {
	s := q.tail
	n := s.filled.Load()
	if n == segmentSize {
		s, n = &segment{base: q.pushed}, 0
		q.tail.next.Store(s)
		q.tail = s
	}
	s.slots[n] = t
	q.pushed++
	s.filled.Store(n + 1)
}

// pop removes and returns the oldest task, or nil. It needs no lock.
func (q *queue) pop() *executor.Task {
	for {
		s := q.head.Load()
		n := s.taken.Load()
		switch {
		case n >= segmentSize:
			next := s.next.Load()
			if next == nil {
				return nil
			}
			q.head.CompareAndSwap(s, next)
		case n == s.filled.Load():
			return nil
		case s.taken.CompareAndSwap(n, n+1):
			t := s.slots[n]
			s.slots[n] = nil
			return t
		}
	}
}

// len returns the number of tasks. The caller holds the pool's lock, so it
// can only have become smaller.
func (q *queue) len() int {
	s := q.head.Load()
	return int(q.pushed - s.base - int64(min(s.taken.Load(), segmentSize)))
}

// keep removes the tasks for which ok is false. The caller holds the pool's
// lock. Until it returns, consumers may find the queue empty; those that then
// acquire the lock see the result.
//
// Segments are closed from the last to the first, so that a consumer never
// finds a task while an older one is held back here.
func (q *queue) keep(ok func(*executor.Task) bool) {
	var segments []*segment
	for s := q.head.Load(); s != nil; s = s.next.Load() {
		segments = append(segments, s)
	}
	rest := make([][]*executor.Task, len(segments))
	for i := len(segments) - 1; i >= 0; i-- {
		s := segments[i]
		from := min(s.taken.Swap(segmentSize), s.filled.Load())
		rest[i] = s.slots[from:s.filled.Load()]
	}
	q.init()
	for _, tasks := range rest {
		for i, t := range tasks {
			tasks[i] = nil
			if ok(t) {
				q.push(t)
			}
		}
	}
}
