package loop

import (
	"context"
	"iter"

	"concert/internal/option"
)

// Queue passes items between coroutines, first in, first out. Waiters are
// served in the order in which they began to wait. A canceled Get removes no
// item, and a canceled Put adds no item. So each item is received exactly
// once, or is still in the queue.
type Queue[T any] struct {
	capacity int // 0 means no limit
	items    ring[T]
	getters  waitQueue // Task.waitTarget is a *T for the item; while coroutines wait here, items is empty
	putters  waitQueue // Task.waitTarget is a *T with the item; while coroutines wait here, items is full
	closed   bool
}

// NewQueue returns a queue for up to capacity items. Put waits when the queue
// is full. A capacity of zero means no limit, as in Python. NewQueue panics if
// capacity is negative.
func NewQueue[T any](capacity int) *Queue[T] {
	option.NotNegative("loop: NewQueue", "capacity", capacity)
	return &Queue[T]{capacity: capacity}
}

// Put adds an item, or hands it to the Get that has waited longest. If the
// queue is full, Put waits until there is room. If ctx ends first, Put returns
// the cause of ctx. If the queue is closed, before or during the wait, Put
// returns [ErrClosed].
func (q *Queue[T]) Put(ctx context.Context, v T) error {
	c, err := beginAwait(ctx, opQueuePut)
	if err != nil {
		return err
	}
	if q.closed {
		return c.yieldAndFail(ErrClosed)
	}
	if q.TryPut(v) {
		return nil
	}
	return q.waitToPut(c, v)
}

// waitToPut waits for room. Its parameter v escapes to the heap. So
// waitToPut is not part of Put: a Put that does not wait should allocate no
// memory.
func (q *Queue[T]) waitToPut(c caller, v T) error {
	return q.putters.wait(c, opQueuePut, &v)
}

// TryPut does the same as Put, but does not wait. It reports whether it has
// added the item. It adds no item to a closed queue.
func (q *Queue[T]) TryPut(v T) bool {
	if q.closed {
		return false
	}
	if t := q.getters.wakeOne(); t != nil {
		*t.waitTarget.(*T) = v
		return true
	}
	if q.capacity > 0 && q.items.n >= q.capacity {
		return false
	}
	q.items.push(v)
	return true
}

// Get removes the first item and returns it. If the queue is empty, Get waits
// for an item. If ctx ends first, Get returns the cause of ctx. If the queue is
// closed and empty, Get returns [ErrClosed].
func (q *Queue[T]) Get(ctx context.Context) (v T, err error) {
	c, err := beginAwait(ctx, opQueueGet)
	if err != nil {
		return v, err
	}
	if v, ok := q.TryGet(); ok {
		return v, nil
	}
	if q.closed {
		return v, c.yieldAndFail(ErrClosed)
	}
	return q.waitToGet(c)
}

// waitToGet waits for an item.
func (q *Queue[T]) waitToGet(c caller) (T, error) {
	v := new(T)
	err := q.getters.wait(c, opQueueGet, v)
	return *v, err
}

// TryGet does the same as Get, but does not wait. It reports whether there
// was an item.
func (q *Queue[T]) TryGet() (v T, ok bool) {
	if q.items.n == 0 {
		return v, false
	}
	v = q.items.pop()
	if t := q.putters.wakeOne(); t != nil {
		q.items.push(*t.waitTarget.(*T))
	}
	return v, true
}

// All returns a sequence that receives items by Get, until the queue is closed
// and empty. If ctx ends, the error of the last pair is the cause of ctx.
func (q *Queue[T]) All(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := q.Get(ctx)
			if err == ErrClosed || !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// Close closes the queue for new items. The items in the queue can still be
// received. Coroutines that wait in Put or Get fail with [ErrClosed]. Later
// calls have no effect.
func (q *Queue[T]) Close() {
	q.closed = true
	q.getters.failAll(ErrClosed)
	q.putters.failAll(ErrClosed)
}

// Len returns the number of items in the queue.
func (q *Queue[T]) Len() int { return q.items.n }

// ring is a queue in a circular buffer that grows.
type ring[T any] struct {
	slots    []T
	first, n int
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.slots) {
		grown := make([]T, max(8, 2*r.n))
		n := copy(grown, r.slots[r.first:])
		copy(grown[n:], r.slots[:r.first])
		r.slots, r.first = grown, 0
	}
	r.slots[(r.first+r.n)%len(r.slots)] = v
	r.n++
}

func (r *ring[T]) pop() (v T) {
	r.slots[r.first], v = v, r.slots[r.first]
	r.first = (r.first + 1) % len(r.slots)
	r.n--
	return v
}
