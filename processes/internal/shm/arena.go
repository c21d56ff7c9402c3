package shm

import (
	"fmt"
	"slices"
	"sync"

	"concert/internal/frame"
)

// Arena is memory that the pool shares with one worker, for large arguments and
// results. They are copied into it and out of it, and the frame on the pipe
// contains only the [frame.Span] where they are.
//
//	| arguments | results    |       two halves
//	  the pool    the worker         writes there, and allocates
//
// Each half has an [Allocator]. The pool frees the span of an argument when all
// calls of its frame have ended or were taken back. The worker frees the span
// of a result when the pool has copied it, which the journal counts; see
// [Journal.Copied]. A value for which there is no room goes through the pipe.
//
// The system provides memory only for pages that were touched. If it has none
// for a page, the value goes through the pipe. The pool returns the touched
// pages to the system when the worker has been idle for some time.
//
// The worker is not trusted. It can change the memory at any time, so the pool
// reads a result once, to copy it, and looks only at the copy. The worker
// cannot shrink the file, because it is sealed.
type Arena struct {
	mu  sync.Mutex
	mem []byte // unmapped, and set to nil, under mu
}

const (
	// ArenaSize is the size of an arena in bytes.
	ArenaSize = 512 << 20

	// MaxInline is the size in bytes up to which a value is a part of its
	// frame. Larger values go through the arena. If they cannot, they follow
	// the frame in the pipe and are not copied before.
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
// at is not within the arena.
func (a *Arena) Argument(at frame.Span) ([]byte, error) { return within(a.arguments(), at) }

// Result returns the bytes of a result. The error is a [frame.ErrFrame] if at
// is not within the arena.
func (a *Arena) Result(at frame.Span) ([]byte, error) { return within(a.results(), at) }

// within returns the bytes of a half at a span that the other process names.
func within(half []byte, at frame.Span) ([]byte, error) {
	size := uint64(len(half))
	if at.Offset > size || at.Length > size-at.Offset {
		return nil, fmt.Errorf("%w: %d bytes at %d of shared memory", frame.ErrFrame, at.Length, at.Offset)
	}
	return half[at.Offset : at.Offset+at.Length : at.Offset+at.Length], nil
}

// WriteArgument copies an argument into the arena. It does nothing if the arena
// is unmapped. The error is ErrNoMemory.
func (a *Arena) WriteArgument(at frame.Span, b []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return nil
	}
	return CatchFault(func() { copyTo(a.arguments(), at, b) })
}

// WriteResult copies a result into the arena. The error is ErrNoMemory.
func (a *Arena) WriteResult(at frame.Span, b []byte) error {
	return CatchFault(func() { copyTo(a.results(), at, b) })
}

// copyTo copies bytes to their span in a half, in parts of maxCopy: the garbage
// collector cannot stop a goroutine within a copy, and would spin until its
// end.
func copyTo(half []byte, at frame.Span, b []byte) {
	to := half[at.Offset:]
	for part := range slices.Chunk(b, maxCopy) {
		to = to[copy(to, part):]
	}
}

// Trim returns the touched pages to the system. Afterwards the arena is full of
// zeros.
func (a *Arena) Trim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem != nil {
		trim(a.mem)
	}
}

// Unmap ends the use of the arena.
func (a *Arena) Unmap() {
	a.mu.Lock()
	defer a.mu.Unlock()
	Unmap(a.mem)
	a.mem = nil
}
