package jobs

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// maxOpen is the maximum number of jobs that have been taken from the inputs
// and have not finished. These jobs run, or wait for their next attempt. They
// are in memory.
const maxOpen = 10_000

// maxAhead is the maximum number of jobs that have been taken from the inputs
// and are not complete. It is only used if jobs complete in the order of the
// inputs (queue.ordered). A job is complete when it and all jobs before it
// have finished. So maxAhead limits the finished jobs that wait for their
// turn. Their output is in a file, or in the bounded memory of package output,
// and the queue needs a bit for each.
const maxAhead = 1_000_000

// queue decides which job starts next.
//
//	inputs --> fresh --take--> a worker --> finish
//	              retries --take-^  |
//	                 ^--- retry ----+
//
// A retry whose pause has ended comes before new inputs. The method take
// returns nil when there are no more inputs, and all jobs that it has returned
// have finished.
type queue struct {
	fresh   <-chan *job // closed after the last input
	ordered bool        // whether jobs complete in the order of the inputs
	maxOpen int         // maxOpen, except in tests
	ahead   int         // maxAhead, except in tests

	mu      sync.Mutex
	retries retries       // guarded by mu
	taken   int           // guarded by mu: number of jobs from fresh
	open    int           // guarded by mu: number of jobs from fresh that have not finished
	first   int           // guarded by mu: the lowest number of a job that has not finished, if ordered
	passed  []uint64      // guarded by mu: a bit for each finished job with a higher number than first, if ordered; a ring
	ended   bool          // guarded by mu: whether fresh is closed
	stopped bool          // guarded by mu: whether stop was called
	changed chan struct{} // guarded by mu: closed and replaced when waiting calls of take must look again
	waiting int           // guarded by mu: number of calls of take that wait
}

func newQueue(fresh <-chan *job, ordered bool) *queue {
	q := &queue{fresh: fresh, ordered: ordered, maxOpen: maxOpen, ahead: maxAhead, first: 1, changed: make(chan struct{})}
	if ordered {
		// The limit maxAhead may be exceeded by the number of concurrent calls
		// of take, which is at most maxJobs.
		q.passed = make([]uint64, (maxAhead+maxJobs)/64+1)
	}
	return q
}

// take waits for the next job. It returns nil after the last job, after stop,
// or if ctx ends. It may be called concurrently.
func (q *queue) take(ctx context.Context) *job {
	for {
		q.mu.Lock()
		if q.stopped || ctx.Err() != nil || q.ended && q.open == 0 {
			q.mu.Unlock()
			return nil
		}
		var due <-chan time.Time
		if len(q.retries) > 0 {
			wait := time.Until(q.retries[0].due)
			if wait <= 0 {
				j := heap.Pop(&q.retries).(*job)
				q.mu.Unlock()
				return j
			}
			timer := time.NewTimer(wait)
			defer timer.Stop()
			due = timer.C
		}
		fresh := q.fresh
		if q.ended || q.isFullLocked() {
			fresh = nil
		}
		changed := q.changed
		q.waiting++
		q.mu.Unlock()
		var j *job
		isEnd := false
		select {
		case next, more := <-fresh:
			j, isEnd = next, !more
		case <-due:
		case <-changed:
		case <-ctx.Done():
		}
		q.mu.Lock()
		q.waiting--
		if isEnd {
			q.ended = true
			q.wakeLocked()
		}
		if j != nil {
			q.taken++
			q.open++
		}
		q.mu.Unlock()
		if j != nil {
			return j
		}
	}
}

// isFullLocked reports whether the limit of jobs that are not complete is
// reached. The limit may be exceeded by the number of concurrent calls of
// take.
func (q *queue) isFullLocked() bool {
	return q.open >= q.maxOpen || q.ordered && q.taken-(q.first-1) >= q.ahead
}

// wakeLocked wakes all waiting calls of take.
func (q *queue) wakeLocked() {
	if q.waiting > 0 {
		close(q.changed)
		q.changed = make(chan struct{})
	}
}

// retry puts a job back into the queue, which take has returned. After the
// pause, take returns the job again.
func (q *queue) retry(j *job, pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	j.due = time.Now().Add(pause)
	heap.Push(&q.retries, j)
	q.wakeLocked()
}

// finish records that a job has finished. The method take has returned this
// job, and will not return it again.
func (q *queue) finish(number int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	wasFull := q.isFullLocked()
	q.open--
	if q.ordered {
		word, bit := q.passedLocked(number)
		*word |= bit
		for word, bit = q.passedLocked(q.first); *word&bit != 0; word, bit = q.passedLocked(q.first) {
			*word &^= bit
			q.first++
		}
	}
	if wasFull || q.ended && q.open == 0 {
		q.wakeLocked()
	}
}

// passedLocked returns the bit of a job in passed.
func (q *queue) passedLocked(number int) (word *uint64, bit uint64) {
	i := number % (64 * len(q.passed))
	return &q.passed[i/64], 1 << (i % 64)
}

// stop makes all calls of take return nil. It returns the jobs that wait for
// their next attempt.
func (q *queue) stop() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.wakeLocked()
	left := q.retries
	q.retries = nil
	return left
}

// retries is a heap of jobs that failed, by the time of their next attempt.
type retries []*job

// Len implements heap.Interface.
func (r retries) Len() int { return len(r) }

// Less implements heap.Interface.
func (r retries) Less(i, j int) bool { return r[i].due.Before(r[j].due) }

// Swap implements heap.Interface.
func (r retries) Swap(i, j int) { r[i], r[j] = r[j], r[i] }

// Push implements heap.Interface.
func (r *retries) Push(j any) { *r = append(*r, j.(*job)) }

// Pop implements heap.Interface.
func (r *retries) Pop() any {
	n := len(*r) - 1
	j := (*r)[n]
	(*r)[n] = nil
	*r = (*r)[:n]
	return j
}
