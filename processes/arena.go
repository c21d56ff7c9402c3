package processes

import (
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"concert/internal/frame"
)

// arena is memory that the pool shares with one worker, for large arguments and
// results: they are copied into it and out of it, and the frame on the pipe
// only says where they are.
//
//	| arguments  | results    |       two halves
//	  the pool     the worker         writes, and decides where
//
// Each half is used in turn, as calls come and end in turn; see spans. An
// argument has its place until all calls of its frame have ended or were
// withdrawn. A result has it until the pool has copied it, and has said so in
// the journal: taken. What finds no place goes through the pipe.
//
// The system has memory only for the pages that were touched. If it has none
// for a page, the value goes through the pipe. Pages that were touched are
// given back when the worker has had nothing to do for a while.
//
// The worker is not trusted. It can change the memory at any time, so the pool
// reads a result once, to copy it, and looks only at the copy; and it cannot
// make the file shorter, which is sealed.
type arena struct {
	mu  sync.Mutex
	mem []byte // unmapped, and set to nil, under mu
}

const (
	arenaSize = 512 << 20
	placeUnit = 64 // places begin at multiples of it, so that numbers are aligned
)

// arguments and results return the two halves.
func (a *arena) arguments() []byte { return a.mem[:len(a.mem)/2] }
func (a *arena) results() []byte   { return a.mem[len(a.mem)/2:] }

// within returns the bytes of a half at a place that somebody else names.
func within(half []byte, at frame.Span) ([]byte, error) {
	size := uint64(len(half))
	if at.Offset > size || at.Length > size-at.Offset {
		return nil, fmt.Errorf("%w: %d bytes at %d of shared memory", frame.ErrFrame, at.Length, at.Offset)
	}
	return half[at.Offset : at.Offset+at.Length : at.Offset+at.Length], nil
}

// fill copies bytes into the arena, unless it is gone. It returns which of them
// could not be copied, the last first, as the system has no memory for the
// pages.
func (a *arena) fill(copies []placed) (failed []int) {
	if len(copies) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem == nil {
		return nil
	}
	for i := len(copies) - 1; i >= 0; i-- {
		if touch(func() { put(a.arguments(), copies[i].at, copies[i].bytes) }) != nil {
			failed = append(failed, i)
		}
	}
	return failed
}

// errNoPage says that memory that is shared cannot be used, as the system has
// none for its pages: its mapping alone reserves nothing.
var errNoPage = fmt.Errorf("%w: the system has no memory for what is shared with a worker", ErrMemory)

// touch does something with shared memory. If a page of that cannot be had,
// which is a signal that would end this process, it returns errNoPage.
func touch(do func()) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		v := recover()
		if _, fault := v.(interface{ Addr() uintptr }); fault {
			err = errNoPage
		} else if v != nil {
			panic(v)
		}
	}()
	do()
	return nil
}

// put copies bytes to their place in a half, in parts: the garbage collector
// cannot stop a goroutine within a copy, and would spin until its end.
func put(half []byte, at frame.Span, bytes []byte) {
	to := half[at.Offset:]
	for part := range slices.Chunk(bytes, 256<<10) {
		to = to[copy(to, part):]
	}
}

// placed is bytes that have a place in the arena, and are not there yet.
type placed struct {
	at         frame.Span
	kind       byte
	bytes      []byte
	frame, arg int // where in the bundle the frame begins, and the argument that says where they are
}

// inline has an argument that was to be in the arena follow in the frame. Those
// that were placed after it must have been put right before.
func (b *bundle) inline(number int) {
	p := b.placed[number]
	here := frame.AppendArg(nil, frame.Payload{Kind: p.kind}, len(p.bytes))
	there := frame.AppendArg(nil, frame.Payload{Kind: p.kind, Shared: true, Span: p.at}, 0)
	shorter := len(there) - len(here)
	b.buf = slices.Delete(b.buf, p.arg+len(here), p.arg+len(there))
	copy(b.buf[p.arg:], here)
	frame.Lengthen(b.buf, p.frame, len(p.bytes)-shorter)
	at := len(b.parts)
	for i := range b.parts {
		if b.parts[i].after > p.arg {
			b.parts[i].after -= shorter
			at = min(at, i)
		}
	}
	b.parts = slices.Insert(b.parts, at, part{p.arg + len(here), p.bytes})
	for i := range b.placed {
		if b.placed[i].arg > p.arg {
			b.placed[i].arg -= shorter
		}
		if b.placed[i].frame > p.arg {
			b.placed[i].frame -= shorter
		}
	}
}

// trim gives back what was touched. Both halves are full of zeros then.
func (a *arena) trim() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.mem != nil {
		giveBack(a.mem)
	}
}

// giveBack is trimShared, unless a test has it otherwise.
var giveBack = trimShared

// release ends the arena.
func (a *arena) release() {
	a.mu.Lock()
	defer a.mu.Unlock()
	unmapShared(a.mem)
	a.mem = nil
}

// spans are the places that are taken in one half of an arena. They are given
// back in the order in which they were taken, so one after the other has its
// place behind the one before, and at the end of the half begins again:
//
//	|   free   | first ... last |   free   |
//	| ... last |      free      | first ...|
type spans struct {
	size  int          // of the half
	taken []frame.Span // rounded up to placeUnit; the oldest first
}

// take finds a place for n bytes, n above 0.
func (s *spans) take(n int) (frame.Span, bool) {
	room := (n + placeUnit - 1) / placeUnit * placeUnit
	from, to := 0, s.size // what is free
	if count := len(s.taken); count > 0 {
		first, last := s.taken[0], s.taken[count-1]
		from = int(last.Offset + last.Length)
		if last.Offset < first.Offset {
			to = int(first.Offset)
		} else if to-from < room {
			from, to = 0, int(first.Offset)
		}
	}
	if to-from < room {
		return frame.Span{}, false
	}
	s.taken = append(s.taken, frame.Span{Offset: uint64(from), Length: uint64(room)})
	return frame.Span{Offset: uint64(from), Length: uint64(n)}, true
}

// give gives the oldest n places back.
func (s *spans) give(n int) {
	if s.taken = s.taken[n:]; len(s.taken) == 0 {
		s.taken = nil
	}
}

// undo undoes the last take.
func (s *spans) undo() { s.taken = s.taken[:len(s.taken)-1] }
