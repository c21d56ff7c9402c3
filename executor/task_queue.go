package executor

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// A TaskQueue is the bounded first-in first-out queue of an executor. It
// implements [LocalQueue]. A remote executor may use it for its [RemoteQueue].
//
//	Execute --Push--> room? --> queue --Next--> worker
//	                    |         ^
//	                    +-- no: blocked submitters, in their order
//
// The queue and the executor share a mutex, as a [sync.Cond] and its user do.
// Methods whose names end in Locked are called with the mutex held, and all
// others without it.
//
// If the queue is full, submitters block. They are admitted in their order
// when a quarter of the queue is free. So a submitter that is woken up can
// submit several tasks before it blocks again. A canceled task frees its
// slot.
type TaskQueue struct {
	mu     *sync.Mutex
	size   int
	onTask func()

	// Next reads these fields. So they are in another cache line than the
	// fields that Push writes.
	blocked atomic.Int32  // number of waiters; changed under mu
	moves   atomic.Uint32 // odd while tasks are being moved; changed under mu

	tasks segments
	stats *statistics // of the group; written under mu by the first Push, and not before a task is in the queue

	// Guarded by mu:
	accepted int64       // number of tasks that Push has accepted, except those of Maps
	again    bool        // whether Again was called since the last compaction
	reserved int         // slots of tasks that are not in the queue
	dropped  int         // approximate number of tasks in the queue that are canceled, or were run by a task that waited for them
	waiters  roomWaiters // blocked submitters
	closed   error       // error with which the queue refuses tasks; nil while it is open
}

// NewTaskQueue returns a queue for an executor with the mutex mu. The
// parameter size is the maximum number of tasks in the queue: 0 means 1024,
// and a negative size means no bound. The queue calls onTask for each task
// that is added, with mu held, so that the executor wakes or starts a
// worker. onTask must not block.
func NewTaskQueue(mu *sync.Mutex, size int, onTask func()) *TaskQueue {
	switch {
	case size == 0:
		size = 1024
	case size < 0:
		size = math.MaxInt
	}
	q := &TaskQueue{mu: mu, size: size, onTask: onTask}
	q.tasks.init()
	return q
}

// Push adds a task that Execute has adopted. If the queue is full, Push blocks
// until there is room. If ctx ends first, Push returns the cause of ctx. If the
// queue is closed, Push returns the reason.
func (q *TaskQueue) Push(ctx context.Context, g *WorkerGroup, t *Task) error {
	q.mu.Lock()
	if q.closed != nil {
		defer q.mu.Unlock()
		return q.closed
	}
	if q.stats == nil {
		q.stats = g.stats
		g.stats.addQueue(q)
	}
	if q.waiters.first == nil && q.hasRoomLocked() {
		q.acceptLocked(t)
		q.mu.Unlock()
		return nil
	}
	w := &roomWaiter{task: t, admitted: make(chan struct{})}
	q.waiters.push(w)
	q.blocked.Add(1)
	q.admitLocked() // if all tasks in the queue are canceled, this makes room
	q.mu.Unlock()

	select {
	case <-w.admitted:
		return w.err
	default:
	}
	returned := false
	defer func() {
		if !returned {
			q.leave(w) // a method of ctx has panicked, or ended the goroutine
		}
	}()
	err := g.WaitRoom(ctx, w.admitted)
	returned = true
	if err != nil && q.leave(w) {
		return err
	}
	<-w.admitted
	return w.err
}

// Next removes the first task from the queue and returns it, or returns nil if
// the queue is empty.
//
// No submitter may block forever while the queue has room. A submitter (1) adds
// itself to the waiters, (2) checks the queue for room. Next (1) removes a task
// from the queue, (2) checks for waiters. At least one of them sees the other's
// first step.
func (q *TaskQueue) Next() *Task {
	for {
		moves := q.moves.Load()
		t, at := q.tasks.popAt()
		if t == nil && (moves%2 == 1 || q.moves.Load() != moves) { // compactLocked was moving tasks, so popAt may have missed some
			q.mu.Lock()
			t, at = q.tasks.popAt()
			q.mu.Unlock()
		}
		if q.blocked.Load() > 0 {
			q.mu.Lock()
			q.admitLocked()
			q.mu.Unlock()
		}
		if t == nil {
			return nil
		}
		if t.Waiting() {
			q.left(at)
			return t
		}
	}
}

// NextLocked does the same as Next, for a caller that holds the mutex. After it
// has returned nil, the queue stays empty until the next call of onTask.
func (q *TaskQueue) NextLocked() *Task {
	for {
		q.admitLocked()
		t, at := q.tasks.popAt()
		if t == nil {
			return nil
		}
		if t.Waiting() {
			q.admitLocked()
			q.left(at)
			return t
		}
	}
}

// Again puts a task at the end of the queue, as [Queue] requires. After Close,
// it fails the task with the reason.
func (q *TaskQueue) Again(t *Task) {
	q.mu.Lock()
	if q.closed != nil {
		err := q.closed
		q.mu.Unlock()
		t.Fail(err)
		return
	}
	q.again = true
	q.AgainLocked(t)
	q.mu.Unlock()
}

// AgainLocked puts a task at the end of the queue, even if the queue is full or
// closed. The task must have been accepted earlier. First, AgainLocked admits
// the first blocked submitter. Otherwise a few Maps could keep the queue full
// permanently.
func (q *TaskQueue) AgainLocked(t *Task) {
	if q.waiters.first != nil {
		q.admitOneLocked()
	}
	q.addLocked(t)
}

// TasksLocked returns the tasks in the queue, in order. Some may be canceled.
// An executor that uses TasksLocked must not call Next, but only NextLocked.
func (q *TaskQueue) TasksLocked() []*Task { return q.tasks.listLocked() }

// FirstLocked returns the first task that is not canceled, or nil. It
// removes canceled tasks that are before this task. The task stays in the
// queue. An executor that uses FirstLocked must not call Next, but only
// NextLocked.
func (q *TaskQueue) FirstLocked() *Task {
	for {
		t := q.tasks.firstLocked()
		if t == nil || t.Waiting() {
			return t
		}
		q.tasks.pop()
		q.admitLocked()
	}
}

// RemoveFirstLocked removes the task that FirstLocked has returned. The caller
// must have held the mutex since that call. NextLocked is no replacement: if
// the task was canceled in the meantime, NextLocked returns another task, or
// nil.
func (q *TaskQueue) RemoveFirstLocked() {
	if t, at := q.tasks.popAt(); t != nil && t.Waiting() {
		q.left(at)
	}
	q.admitLocked()
}

// AddFirstLocked puts a task at the front of the queue, even if the queue is
// full or closed. The task must have been accepted earlier. An executor that
// uses AddFirstLocked must not call Next, but only NextLocked.
func (q *TaskQueue) AddFirstLocked(t *Task) {
	q.tasks.pushFirstLocked(t)
	q.onTask()
}

// ReserveLocked adds change to the number of reserved slots. A reserved slot
// is for a task that has left the queue and still counts for the size of the
// queue.
func (q *TaskQueue) ReserveLocked(change int) {
	q.reserved += change
	q.admitLocked()
}

// DrainLocked removes all tasks from the queue and returns them.
func (q *TaskQueue) DrainLocked() (tasks []*Task) {
	for t := q.NextLocked(); t != nil; t = q.NextLocked() {
		tasks = append(tasks, t)
	}
	return tasks
}

// Dropped frees the slots of canceled tasks.
func (q *TaskQueue) Dropped() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.DroppedLocked()
}

// DroppedLocked is Dropped for a caller that holds the mutex.
func (q *TaskQueue) DroppedLocked() {
	q.dropped++
	if q.dropped > max(segmentSize, q.tasks.lenLocked()/2) {
		q.compactLocked()
	}
	q.admitLocked()
}

// LenLocked returns the number of tasks in the queue. Canceled tasks may count.
func (q *TaskQueue) LenLocked() int { return q.tasks.lenLocked() }

// Close makes the queue refuse new tasks and blocked submitters, with the
// reason, for example [ErrClosed]. The tasks in the queue stay. A second Close
// only changes the reason.
func (q *TaskQueue) Close(reason error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.CloseLocked(reason)
}

// CloseLocked is Close for a caller that holds the mutex.
func (q *TaskQueue) CloseLocked(reason error) {
	q.closed = reason
	for w := q.waiters.first; w != nil; w = q.waiters.first {
		q.removeWaiterLocked(w)
		w.err = reason
		close(w.admitted)
	}
}

// hasRoomLocked reports whether the queue has room for one more task.
func (q *TaskQueue) hasRoomLocked() bool {
	if q.usedLocked() >= q.size && q.dropped > 0 {
		q.compactLocked()
	}
	return q.usedLocked() < q.size
}

// usedLocked returns the number of slots in use.
func (q *TaskQueue) usedLocked() int { return q.tasks.lenLocked() + q.reserved }

// acceptLocked adds a task that the queue has not accepted before.
func (q *TaskQueue) acceptLocked(t *Task) {
	if t.status.Load()&ofMap != 0 {
		q.addLocked(t)
		return
	}
	q.accepted++
	q.tasks.pushAtLocked(t, q.stats, 0)
	q.onTask()
}

// left records the time that a task was in the queue, if the task has a
// stamp.
func (q *TaskQueue) left(at stamp) {
	if at != 0 {
		q.stats.left(at)
	}
}

// addLocked adds a task to the end of the queue, and calls onTask.
func (q *TaskQueue) addLocked(t *Task) {
	q.tasks.pushLocked(t)
	q.onTask()
}

// admitLocked admits blocked submitters if a quarter of the queue is free.
func (q *TaskQueue) admitLocked() {
	if q.waiters.first == nil {
		return
	}
	enough := q.size - max(1, q.size/4)
	if q.usedLocked() > enough && q.dropped > 0 {
		q.compactLocked()
	}
	if q.usedLocked() > enough {
		return
	}
	for q.waiters.first != nil && q.usedLocked() < q.size {
		q.admitOneLocked()
	}
}

// admitOneLocked admits the first blocked submitter.
func (q *TaskQueue) admitOneLocked() {
	w := q.waiters.first
	q.removeWaiterLocked(w)
	q.acceptLocked(w.task)
	close(w.admitted)
}

// compactLocked removes canceled tasks. It also removes the second of two equal
// tasks: a task that waits for a queued task may run the queued task for a
// turn, and then Again adds the queued task a second time.
func (q *TaskQueue) compactLocked() {
	keep := (*Task).Waiting
	if q.again {
		seen := make(map[*Task]struct{}, q.tasks.lenLocked())
		keep = func(t *Task) bool {
			_, twice := seen[t]
			seen[t] = struct{}{}
			return !twice && t.Waiting()
		}
	}
	q.moves.Add(1)
	q.tasks.keepLocked(keep)
	q.moves.Add(1)
	q.dropped, q.again = 0, false
}

// leave removes a waiter whose context has ended. It reports false if the
// waiter was admitted or refused before.
func (q *TaskQueue) leave(w *roomWaiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-w.admitted:
		return false
	default:
	}
	q.removeWaiterLocked(w)
	return true
}

func (q *TaskQueue) removeWaiterLocked(w *roomWaiter) {
	q.waiters.remove(w)
	q.blocked.Add(-1)
}

// roomWaiter is a submitter that waits for room. The goroutine that makes room
// also adds the waiter's task to the queue. So the room is used even if the
// waiter's context ends at this moment.
type roomWaiter struct {
	task     *Task
	admitted chan struct{} // closed when the task is in the queue, or refused
	err      error         // why the queue refused the task, or nil; written before admitted is closed

	next, prev *roomWaiter
}

// roomWaiters is a first-in first-out list. A waiter in the middle of the
// list may leave the list, too.
type roomWaiters struct{ first, last *roomWaiter }

func (l *roomWaiters) push(w *roomWaiter) {
	if w.prev = l.last; w.prev != nil {
		w.prev.next = w
	} else {
		l.first = w
	}
	l.last = w
}

func (l *roomWaiters) remove(w *roomWaiter) {
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.first = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	} else {
		l.last = w.prev
	}
	w.next, w.prev = nil, nil
}
