package executor

import "sync/atomic"

// itemBuffer holds the items of one Map, in the order of the inputs.
//
//	feeder --append--> [ | | | | ] --claim--> runners
//	                       |
//	                       +--done, in order or as finished--> consumer
//
// It is a list of chunks. Only the feeder appends. Any number of runners claim
// items, by a compare-and-swap of the chunk's claimed count: one item at a
// time, so that a slow item does not delay others. Only the consumer reads
// results. Chunks are not reused: the garbage collector frees a chunk when the
// feeder, the runners and the consumer have left it.
type itemBuffer[In, Out any] struct {
	last    *chunk[In, Out] // the chunk to which the feeder appends
	_       cacheLine
	current atomic.Pointer[chunk[In, Out]] // the chunk in which runners look for unclaimed items
	_       cacheLine

	// If results are yielded in input order, the consumer's next item is
	// first.items[read]. Otherwise first is nil, so that it does not keep all
	// chunks in memory.
	first *chunk[In, Out]
	read  int

	// finished is a stack of done items, newest on top. Runners push items on
	// it if results are yielded in the order in which they finish. The consumer
	// takes the whole stack at once, and stores it in batch, oldest first.
	finished atomic.Pointer[item[In, Out]]
	_        cacheLine
	batch    *item[In, Out]
	_        cacheLine
}

type chunk[In, Out any] struct {
	base    int64 // index of items[0] among all inputs
	items   []item[In, Out]
	next    atomic.Pointer[chunk[In, Out]]
	_       cacheLine
	filled  atomic.Int32 // items[:filled] have their input; the feeder increases it
	_       cacheLine
	claimed atomic.Int32 // runners have claimed items[:claimed]
	_       cacheLine
}

// item is one input and its result. The feeder writes the input before it
// increases chunk.filled. Then the input belongs to the runner that claims the
// item. The runner writes the result before it sets item.done. Then the result
// belongs to the consumer.
type item[In, Out any] struct {
	in   In
	out  Out
	err  error
	done atomic.Int64   // 0 until the item is done, then its index + 1
	next *item[In, Out] // the next item of itemBuffer.finished or itemBuffer.batch
}

// index returns the index of the item's input, from 0 up. The item must be
// done.
func (it *item[In, Out]) index() int64 { return it.done.Load() - 1 }

const (
	firstChunk = 16  // items in the first chunk; small, because many Maps have few items
	maxChunk   = 128 // maximum number of items in a chunk
)

func newChunk[In, Out any](base int64, size int) *chunk[In, Out] {
	return &chunk[In, Out]{base: base, items: make([]item[In, Out], size)}
}

func (l *itemBuffer[In, Out]) init(ordered bool) {
	c := newChunk[In, Out](0, firstChunk)
	l.last = c
	if ordered {
		l.first = c
	}
	l.current.Store(c)
}

// append adds an item with this input to the end of the buffer. Only the feeder
// calls it.
func (l *itemBuffer[In, Out]) append(in In) {
	c := l.last
	n := int(c.filled.Load())
	if n == len(c.items) {
		fresh := newChunk[In, Out](c.base+int64(n), min(2*n, maxChunk))
		c.next.Store(fresh)
		c, n, l.last = fresh, 0, fresh
	}
	c.items[n].in = in
	c.filled.Store(int32(n + 1))
}

// sight is a runner's copy of the filled count of a chunk. The feeder writes
// chunk.filled often, so reading this field is slow. A runner reads the
// field again only when all items that its copy includes are claimed. A
// sight identifies its chunk by the base of the chunk: a pointer would keep
// this chunk and all later ones in memory while the runner runs a slow item.
type sight struct {
	base   int64
	filled int32
}

// claim claims the first unclaimed item. It returns the item and its index, or
// nil if there is none.
func (l *itemBuffer[In, Out]) claim(seen *sight) (*item[In, Out], int64) {
	items, index := l.claimSome(seen, 1)
	if len(items) == 0 {
		return nil, 0
	}
	return &items[0], index
}

// claimSome claims the first unclaimed items, at most the given number. It
// returns these items, and the index of the first of them. It returns no
// items if there is no unclaimed item.
func (l *itemBuffer[In, Out]) claimSome(seen *sight, most int) ([]item[In, Out], int64) {
	for {
		c := l.current.Load()
		n := c.claimed.Load()
		if c.base != seen.base || n >= seen.filled {
			seen.base, seen.filled = c.base, c.filled.Load()
		}
		switch {
		case n < seen.filled:
			last := int32(min(int(n)+most, int(seen.filled)))
			if c.claimed.CompareAndSwap(n, last) {
				return c.items[n:last], c.base + int64(n)
			}
		case int(n) < len(c.items):
			return nil, 0
		default:
			next := c.next.Load()
			if next == nil {
				return nil, 0
			}
			l.current.CompareAndSwap(c, next)
		}
	}
}

// ahead returns the approximate number of unclaimed items. It stops counting
// when the number reaches the parameter most. The number is never negative.
func (l *itemBuffer[In, Out]) ahead(most int) (n int) {
	for c := l.current.Load(); c != nil && n < most; c = c.next.Load() {
		claimed := c.claimed.Load() // first: the feeder and other runners may increase both counts between the two loads
		n += int(c.filled.Load() - claimed)
	}
	return n
}

// unclaimed reports whether there is an unclaimed item.
func (l *itemBuffer[In, Out]) unclaimed() bool {
	for c := l.current.Load(); c != nil; c = c.next.Load() {
		n := c.claimed.Load() // read only once, because it may change
		if n < c.filled.Load() {
			return true
		}
		if int(n) < len(c.items) {
			return false
		}
	}
	return false
}

// next removes and returns the next done item, or nil if there is none. Only
// the consumer calls it.
func (l *itemBuffer[In, Out]) next(ordered bool) *item[In, Out] {
	if !l.ready(ordered) {
		return nil
	}
	if ordered {
		l.read++
		return &l.first.items[l.read-1]
	}
	it := l.batch
	l.batch, it.next = it.next, nil
	return it
}

// ready reports whether l.next would return an item. Only the consumer calls
// it.
func (l *itemBuffer[In, Out]) ready(ordered bool) bool {
	if !ordered {
		if l.batch == nil && l.finished.Load() != nil {
			l.batch = l.takeFinished()
		}
		return l.batch != nil
	}
	if l.read == len(l.first.items) {
		next := l.first.next.Load()
		if next == nil {
			return false
		}
		l.first, l.read = next, 0
	}
	return l.first.items[l.read].done.Load() != 0
}

// releaseResults releases the memory of mapped results that the consumer has
// not taken. It is called last, when no runner runs an item.
func (l *itemBuffer[In, Out]) releaseResults() {
	release := func(it *item[In, Out]) {
		if it.done.Load() != 0 {
			releaseMapped(it.out)
		}
	}
	for c := l.first; c != nil; c = c.next.Load() {
		for i := range c.items {
			release(&c.items[i])
		}
	}
	for l.first == nil {
		it := l.next(false)
		if it == nil {
			return
		}
		release(it)
	}
}

// markDone passes an item to the consumer. The caller has written its result.
func (l *itemBuffer[In, Out]) markDone(it *item[In, Out], index int64, ordered bool) {
	it.done.Store(index + 1)
	for !ordered {
		top := l.finished.Load()
		it.next = top
		if l.finished.CompareAndSwap(top, it) {
			return
		}
	}
}

// takeFinished empties l.finished, and returns its items as a list, oldest
// first.
func (l *itemBuffer[In, Out]) takeFinished() *item[In, Out] {
	var oldest *item[In, Out]
	for it := l.finished.Swap(nil); it != nil; {
		below := it.next
		it.next, oldest = oldest, it
		it = below
	}
	return oldest
}
