package resume

import (
	"context"
	"sync"
)

const (
	minWindow = 1 << 12  // the maximum number of inputs ahead of the results, unless there are many workers
	maxHeld   = 32 << 20 // maximum number of bytes of results in memory that wait for their turn
)

// A queue has the items that the feeder of a Map has taken and the consumer has
// not yielded, in the order of the inputs.
type queue[Out any] struct {
	window int64 // maximum number of items

	mu          sync.Mutex  // guards the fields below
	ring        []item[Out] // the item with index i is at i modulo the length
	first, next int64       // the indexes of the first item, and of the next new item
	held        int         // bytes of results in memory
	full        bool        // the feeder waits for room
	idle        bool        // the consumer waits for the first item

	room chan struct{} // gets an element when the feeder should wake
	wake chan struct{} // gets an element when the consumer should wake
}

// item is an input, and later its outcome.
//
//	running --finish--> ready
type item[Out any] struct {
	key   Key
	ready bool
	// found is whether the outcome is in the journal: in the field entry, or
	// in a record of this run. If it is false, the outcome is out and err.
	found bool
	entry Entry
	out   Out
	err   error
	size  int // bytes of out that count in queue.held
}

func newQueue[Out any](width int) queue[Out] {
	return queue[Out]{
		window: max(minWindow, 4*int64(min(width, 1<<24))), ring: make([]item[Out], 64),
		room: make(chan struct{}, 1), wake: make(chan struct{}, 1),
	}
}

// add appends an item. It blocks while the window is full. It reports false if
// ctx has ended. Only the feeder calls it.
func (q *queue[Out]) add(ctx context.Context, it item[Out]) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.next-q.first >= q.window {
		q.full = true
		q.mu.Unlock()
		select {
		case <-q.room:
		case <-ctx.Done():
		}
		q.mu.Lock()
		if ctx.Err() != nil {
			break
		}
	}
	if ctx.Err() != nil {
		return false
	}
	if n := int64(len(q.ring)); q.next-q.first == n {
		larger := make([]item[Out], 2*n)
		for i := q.first; i < q.next; i++ {
			larger[i%(2*n)] = q.ring[i%n]
		}
		q.ring = larger
	}
	*q.atLocked(q.next) = it
	q.next++
	if it.ready {
		q.readyLocked(q.next - 1)
	}
	return true
}

// key returns the key of an item.
func (q *queue[Out]) key(index int64) Key {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.atLocked(index).key
}

// atLocked returns the item with an index. The caller holds the lock.
func (q *queue[Out]) atLocked(index int64) *item[Out] { return &q.ring[index%int64(len(q.ring))] }

// readyLocked wakes the consumer if the consumer waits for the item. The
// caller holds the lock.
func (q *queue[Out]) readyLocked(index int64) {
	if q.idle && index == q.first {
		q.idle = false
		notify(q.wake)
	}
}

// hold stores the result of a call in the queue if there is memory for it.
// size is the size of its encoding. If hold does not store the result, the
// consumer reads it from the journal.
func (q *queue[Out]) hold(index int64, out Out, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.atLocked(index)
	if q.held+size > maxHeld {
		it.found = true
		return
	}
	q.held += size
	it.out, it.size = out, size
}

// finish makes an item ready. If err is not nil, it is the error of the item.
func (q *queue[Out]) finish(index int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.atLocked(index)
	it.ready, it.err = true, err
	if err != nil {
		it.found = false
	}
	q.readyLocked(index)
}

// pop removes the first item if it is ready. Otherwise q.wake gets an element
// when the item is ready. Only the consumer calls it.
func (q *queue[Out]) pop() (it item[Out], index int64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	index = q.first
	if index == q.next || !q.atLocked(index).ready {
		q.idle = true
		return it, 0, false
	}
	at := q.atLocked(index)
	it, *at = *at, item[Out]{}
	q.first++
	q.held -= it.size
	if q.full && q.next-q.first <= q.window*3/4 {
		q.full = false
		notify(q.room)
	}
	return it, index, true
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
