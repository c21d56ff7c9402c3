package shm

import "concert/internal/frame"

// Allocator allocates spans in one half of an arena. Spans are freed in the
// order in which they were allocated. So each one follows the one before it,
// and after the end of the half the next one is at the beginning again:
//
//	|   free   | first ... last |   free   |
//	| ... last |      free      | first ...|
//
// The zero Allocator has no memory.
type Allocator struct {
	size  int          // of the half
	spans []frame.Span // allocated, lengths rounded up to alignment; the oldest first
}

// alignment is what offsets of spans are multiples of, so that numbers in them
// are aligned.
const alignment = 64

// Allocate allocates n bytes, n above 0. It reports false if there is no room.
func (a *Allocator) Allocate(n int) (frame.Span, bool) {
	size := (n + alignment - 1) / alignment * alignment
	from, to := 0, a.size // the free range
	if count := len(a.spans); count > 0 {
		first, last := a.spans[0], a.spans[count-1]
		from = int(last.Offset + last.Length)
		if last.Offset < first.Offset {
			to = int(first.Offset)
		} else if to-from < size {
			from, to = 0, int(first.Offset)
		}
	}
	if to-from < size {
		return frame.Span{}, false
	}
	a.spans = append(a.spans, frame.Span{Offset: uint64(from), Length: uint64(size)})
	return frame.Span{Offset: uint64(from), Length: uint64(n)}, true
}

// Len returns how many spans are allocated.
func (a *Allocator) Len() int { return len(a.spans) }

// Free frees the oldest n spans.
func (a *Allocator) Free(n int) {
	if a.spans = a.spans[n:]; len(a.spans) == 0 {
		a.spans = nil
	}
}

// Undo frees the newest span.
func (a *Allocator) Undo() { a.spans = a.spans[:len(a.spans)-1] }
