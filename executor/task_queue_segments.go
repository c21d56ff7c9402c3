package executor

import "sync/atomic"

// segments is a first-in first-out list of tasks, a chain of segments:
//
//	head                      tail
//	[xxxx----] -> [--------] -> [---     ]
//	     ^ taken                   ^ filled
//
// Producers hold the lock of the queue. Consumers do not: they acquire slots of
// the head segment by moving its taken mark with a compare-and-swap. On two
// processors this reduced the time of a Submit by a third, because the lock of
// a short queue is seldom free for long.
//
// A segment is used once. So a consumer that was delayed with an old segment
// finds it exhausted, continues with the next one, and cannot take a slot
// twice.
type segments struct {
	head atomic.Pointer[segment] // the segment from which consumers take tasks

	_      cacheLine
	tail   *segment // guarded by the queue's lock
	pushed int64    // guarded by the queue's lock
}

type segment struct {
	base int64 // number of tasks pushed before this segment
	next atomic.Pointer[segment]

	_      cacheLine
	taken  atomic.Int32 // consumers have taken slots[:taken]; segmentSize if they have taken all
	_      cacheLine
	filled atomic.Int32 // slots[:filled] have a task; producers increase it
	_      cacheLine
	slots  [segmentSize]*Task // a slot is written before filled includes it; then it belongs to the consumer that takes its task

	// The stamps of the tasks, which are written and owned as the slots are. If
	// only some tasks are timed, only the task in slot 0 has a stamp, in first.
	// Otherwise each task has one in all.
	first stamp
	all   atomic.Pointer[[segmentSize]stamp] // nil until it is needed
}

const segmentSize = 128

func (q *segments) init() {
	s := &segment{base: q.pushed}
	q.tail = s
	q.head.Store(s)
}

// pushLocked adds a task without a stamp to the end of the list.
func (q *segments) pushLocked(t *Task) { q.pushAtLocked(t, nil, 0) }

// pushAtLocked adds a task with a stamp to the end of the list. If st is not
// nil, the task gets a new stamp if it is timed.
func (q *segments) pushAtLocked(t *Task, st *statistics, at stamp) {
	s := q.tail
	n := s.filled.Load()
	if n == segmentSize {
		s, n = &segment{base: q.pushed}, 0
		q.tail.next.Store(s)
		q.tail = s
	}
	s.slots[n] = t
	if st != nil && (n == 0 || !st.short.Load()) {
		at = st.newStamp()
	}
	if at != 0 {
		s.setStamp(n, at)
	}
	q.pushed++
	s.filled.Store(n + 1)
}

// setStamp stores the stamp of the task in slot n.
func (s *segment) setStamp(n int32, at stamp) {
	if n == 0 {
		s.first = at
		return
	}
	all := s.all.Load()
	if all == nil {
		all = new([segmentSize]stamp)
		s.all.Store(all)
	}
	all[n] = at
}

// takeStamp removes and returns the stamp of the task in slot n.
func (s *segment) takeStamp(n int32) (at stamp) {
	if n == 0 {
		at, s.first = s.first, 0
	} else if all := s.all.Load(); all != nil {
		at, all[n] = all[n], 0
	}
	return at
}

// pushFirstLocked adds a task before all others. All consumers must hold the
// lock, too.
func (q *segments) pushFirstLocked(t *Task) {
	s := q.head.Load()
	if s.taken.Load() == 0 {
		before := &segment{base: s.base - segmentSize}
		before.taken.Store(segmentSize)
		before.filled.Store(segmentSize)
		before.next.Store(s)
		q.head.Store(before)
		s = before
	}
	n := s.taken.Load() - 1
	s.slots[n] = t // the slot has no stamp: takeStamp has removed it
	s.taken.Store(n)
}

// listLocked returns the tasks. All consumers must hold the lock, too.
func (q *segments) listLocked() (tasks []*Task) {
	for s := q.head.Load(); s != nil; s = s.next.Load() {
		tasks = append(tasks, s.slots[s.taken.Load():s.filled.Load()]...)
	}
	return tasks
}

// firstLocked returns the oldest task, or nil. All consumers must hold the
// lock, too.
func (q *segments) firstLocked() *Task {
	for s := q.head.Load(); s != nil; s = s.next.Load() {
		if n := s.taken.Load(); n < s.filled.Load() {
			return s.slots[n]
		}
	}
	return nil
}

// pop removes and returns the oldest task, or nil. It needs no lock.
func (q *segments) pop() *Task {
	t, _ := q.popAt()
	return t
}

// popAt does the same as pop, and also returns the stamp of the task.
func (q *segments) popAt() (*Task, stamp) {
	for {
		s := q.head.Load()
		n := s.taken.Load()
		switch {
		case n >= segmentSize:
			next := s.next.Load()
			if next == nil {
				return nil, 0
			}
			q.head.CompareAndSwap(s, next)
		case n == s.filled.Load():
			return nil, 0
		case s.taken.CompareAndSwap(n, n+1):
			t := s.slots[n]
			s.slots[n] = nil
			return t, s.takeStamp(n)
		}
	}
}

// lenLocked returns the number of tasks. Consumers may remove tasks at the same
// time.
func (q *segments) lenLocked() int {
	s := q.head.Load()
	return int(q.pushed - s.base - int64(min(s.taken.Load(), segmentSize)))
}

// keepLocked removes the tasks for which ok is false. Until keepLocked returns,
// consumers may find the list empty. A consumer that then acquires the lock
// finds the remaining tasks.
//
// It closes segments from the last to the first. So a consumer never finds a
// task while an older one is being moved.
func (q *segments) keepLocked(ok func(*Task) bool) {
	var list []*segment
	for s := q.head.Load(); s != nil; s = s.next.Load() {
		list = append(list, s)
	}
	from := make([]int32, len(list))
	for i := len(list) - 1; i >= 0; i-- {
		s := list[i]
		from[i] = min(s.taken.Swap(segmentSize), s.filled.Load())
	}
	q.init()
	for i, s := range list {
		for n := from[i]; n < s.filled.Load(); n++ {
			t := s.slots[n]
			s.slots[n] = nil
			if at := s.takeStamp(n); ok(t) {
				q.pushAtLocked(t, nil, at)
			}
		}
	}
}
