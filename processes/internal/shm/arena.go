package shm

import (
	"fmt"
	"slices"
	"sync"

	"concert/internal/frame"
)

// Arena is memory that the pool shares with one worker, for large arguments and
// results. The sender copies a value into the arena, and the frame on the pipe
// contains only the [frame.Span] of the value.
//
//	| arguments | results    |       two halves
//	  the pool    the worker         allocates and writes in its half
//
// Each half has an [Allocator]. The pool frees the span of an argument when
// all calls of its frame have ended or were taken back. The worker frees the
// span of a result when the pool has copied the result. The journal counts
// these copies; see [Journal.Copied]. If the arena has no space for a value,
// the value is sent in the pipe.
//
// The system provides memory only for pages that were touched. If the system
// has no memory for a page that the sender writes, the value is sent in the
// pipe. If the system has no memory for a page of a result that the pool reads,
// the task fails. The pool returns the touched pages to the system when the
// worker has been idle for some time.
//
// The pool does not trust the worker, which can change the memory at any time.
// So the pool copies a result, and checks the copy. The worker cannot shrink
// the file, because the file is sealed.
type Arena struct {
	mu  sync.Mutex
	mem []byte // set to nil when it is unmapped; both happen under mu
}

const (
	// MaxInline is the maximum size in bytes of a value that is copied into
	// its frame. A larger value is copied into the arena if this is
	// possible. Otherwise it is written to the pipe after the frame, without
	// a copy.
	MaxInline = 16 << 10

	maxCopy = 256 << 10 // see copyTo
)

// NewArena returns the arena in mem.
func NewArena(mem []byte) *Arena { return &Arena{mem: mem} }

// NewAllocator returns an allocator for one of the halves.
func (a *Arena) NewAllocator() Allocator { return Allocator{size: len(a.mem) / 2} }

func (a *Arena) arguments() []byte { return a.mem[:len(a.mem)/2] }
func (a *Arena) results() []byte   { return a.mem[len(a.mem)/2:] }

// Argument returns the bytes of an argument. The error is a [frame.ErrFrame] if
// the span is not within the arena.
func (a *Arena) Argument(at frame.Span) ([]byte, error) { return within(a.arguments(), at) }

// Result returns the bytes of a result. The error is a [frame.ErrFrame] if the
// span is not within the arena.
func (a *Arena) Result(at frame.Span) ([]byte, error) { return within(a.results(), at) }

// within returns the bytes of a span. It checks the span, because the other
// process has sent it.
func within(half []byte, at frame.Span) ([]byte, error) {
	size := uint64(len(half))
	if at.Offset > size || at.Length > size-at.Offset {
		return nil, fmt.Errorf("%w: %d bytes at %d of shared memory", frame.ErrFrame, at.Length, at.Offset)
	}
	return half[at.Offset : at.Offset+at.Length : at.Offset+at.Length], nil
}

// WriteArgument copies an argument into the arena. It does nothing if the arena
// is unmapped. It returns nil or ErrNoMemory.
func (a *Arena) WriteArgument(at frame.Span, b []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return nil
	}
	return CatchFault(func() { copyTo(a.arguments(), at, b) })
}

// WriteResult copies a result into the arena. It returns nil or ErrNoMemory.
func (a *Arena) WriteResult(at frame.Span, b []byte) error {
	return CatchFault(func() { copyTo(a.results(), at, b) })
}

// copyTo copies bytes to their span in a half. It calls the builtin function
// copy for at most maxCopy bytes at a time. The garbage collector must stop
// all goroutines, but cannot interrupt a call of copy. Until the call
// returns, the collector only waits, and this wait uses a processor.
func copyTo(half []byte, at frame.Span, b []byte) {
	to := half[at.Offset:]
	for part := range slices.Chunk(b, maxCopy) {
		to = to[copy(to, part):]
	}
}

// Trim returns the touched pages to the system. All bytes of the arena become
// zero.
func (a *Arena) Trim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem != nil {
		trim(a.mem)
	}
}

// Unmap unmaps the memory of the arena.
func (a *Arena) Unmap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	Unmap(a.mem)
	a.mem = nil
}

// Allocator allocates spans in one half of an arena. Spans are freed in the
// order in which they were allocated. So each span follows the previous one.
// If the space before the end of the half is too small for a span, the span
// is put at the beginning of the half:
//
//	|   free   | first ... last |   free   |
//	| ... last |      free      | first ...|
//
// The zero Allocator has no memory.
type Allocator struct {
	size  int          // of the half
	spans []frame.Span // allocated, lengths rounded up to alignment; the oldest first
}

// alignment is the alignment of spans in bytes, so that numbers in them are
// aligned.
const alignment = 64

// Allocate allocates n bytes; n must be above 0. It reports false if there is
// no space.
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

// Len returns the number of allocated spans.
func (a *Allocator) Len() int { return len(a.spans) }

// Free frees the oldest n spans.
func (a *Allocator) Free(n int) {
	if a.spans = a.spans[n:]; len(a.spans) == 0 {
		a.spans = nil
	}
}

// Undo frees the newest span.
func (a *Allocator) Undo() { a.spans = a.spans[:len(a.spans)-1] }
