package executor

import (
	"context"
	"iter"
	"sync"
)

// MapIndexed does the same as [Map] does if ordered is false, for inputs
// that have indexes already. These indexes must not be negative. Results,
// errors and events have these indexes. So the inputs can be a part of a
// longer sequence, whose indexes the user knows.
//
// If ctx ends, or the executor is closed, MapIndexed yields an error with the
// index -1. After that error, it waits for the running calls and yields their
// outcomes, so that no result is lost.
func MapIndexed[In, Out any](ctx context.Context, ex Executor, fn func(context.Context, In) (Out, error), inputs iter.Seq2[int64, In]) func(yield func(index int64, out Out, err error) bool) {
	if ctx == nil || ex == nil || fn == nil || inputs == nil {
		panic(nilArgument("MapIndexed", ctx, ex, "function or inputs"))
	}
	return func(yield func(int64, Out, error) bool) {
		m := newMapRun(ctx, ex, fn, false)
		m.indexes = &indexes{of: make(map[int64]int64)}
		go m.feed(func(yield func(In) bool) {
			item := int64(0)
			for i, in := range inputs {
				m.indexes.add(item, i)
				item++
				if !yield(in) {
					return
				}
			}
		})
		left := false
		stop := sync.OnceFunc(m.stop)
		defer stop()
		m.consume(func(index int64, out Out, err error) bool {
			left = !yield(index, out, err)
			return !left
		})
		stop()
		for !left {
			it := m.buffer.next(false)
			if it == nil {
				return
			}
			left = !yield(m.indexes.remove(it.index()), it.out, it.err)
		}
	}
}

// indexes stores the indexes of a Map's inputs until the consumer receives
// their results.
type indexes struct {
	mu sync.Mutex
	of map[int64]int64 // guarded by mu; the key is the index of the item
}

func (x *indexes) add(item, index int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.of[item] = index
}

// get returns the index of the input of an item.
func (x *indexes) get(item int64) int64 {
	if x == nil {
		return item
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.of[item]
}

// remove does the same as get, and deletes the index.
func (x *indexes) remove(item int64) (index int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	index = x.of[item]
	delete(x.of, item)
	return index
}
