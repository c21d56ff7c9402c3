package shm

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"unsafe"

	"concert/internal/frame"
)

// Journal is memory that the pool shares with one worker. It records which
// calls the worker has begun, and which results the worker has finished. If
// there were only pipes, the pool could not know which calls have begun when
// the worker dies or a task is canceled. See layout.go for the offsets.
//
// # Results
//
// The worker copies its frames into the ring, and increases the counter
// "written". Then it writes the bytes of the ring to the pipe. One system
// call can write one frame or many. If the worker dies before it has written
// all bytes, the pool finds fewer bytes in the pipe than the counter says,
// and reads the other bytes from the ring. So no finished result is lost.
//
// # List
//
// If each result had its own frame in the ring, the frame would cost more
// than a call that does almost nothing. So a worker stores consecutive small
// results of the same kind in the list. Their bytes are stored without gaps.
// The list also has a size of 2 bytes for each call of the frame: size n is
// the size of the result of call n. If all values of the kind have the same
// size, the worker stores no sizes. Call n has ended when call n+1 has
// begun, or when a frame in the ring contains the result of call n. The
// worker sends many results of the list in one frame, through the ring. If
// the worker dies, the pool first reads all frames of the worker. The list
// contains the results of the other calls that have ended, and the pool
// reads them last.
//
// The word "list of" describes the list:
//
//	number of the frame uint32 | first call uint16 | in use uint8 | kind uint8
//
// The first call is the one whose result is at the beginning of the bytes.
// If the list is in use, the field in use is 1. Otherwise the last 16 bits
// are 0. Before a worker changes this word, it sends all results that are in
// the list.
//
// # Calls
//
// Each frame of calls has a slot, whose index is the number of the frame modulo
// Slots. A slot is one word of 64 bits:
//
//	number of the frame uint32 | next call to begin uint16 | limit uint16
//
//	to begin a call, the worker increases next by 1, if next < limit;
//	                 then it calls the function
//	to take calls back, the pool lowers limit, not below next;
//	                 then it drops the calls or gives them to another worker
//
// The worker and the pool use compare-and-swap on the whole word. So for each
// call exactly one of them succeeds, and a call that was taken back never runs.
// If the worker has died, it was running a call if and only if the number of
// the call is below next and the result has not arrived.
//
// The pool can use a slot for a new frame when all calls of the old frame
// have settled or were taken back. If the worker reads the old frame later,
// it finds the number of the new frame in the slot, and skips the old frame.
//
// # Gate
//
// A worker in a language without compare-and-swap sets marks: before it begins
// a call, it stores the increased number next into the slot. The pool does not
// write to the slot. The pool takes calls back by means of the gate.
//
// To begin a call, the worker
//
//  1. sets the mark: it stores the increased next into the slot;
//  2. reads the counter gate, and waits until it has received that many
//     TakeBacks;
//  3. calls the function, unless a TakeBack contains the call.
//
// To take calls back, the pool
//
//  1. increases the counter gate;
//  2. reads the mark in the slot;
//  3. sends a TakeBack of the calls that have not begun.
//
// There are two cases. If the pool reads the slot before the worker sets the
// mark, the worker later reads a gate that the pool has already increased.
// So the worker waits for the TakeBack, which contains the call. If the pool
// reads the slot after the worker has set the mark, it sees that the call
// has begun, and does not take the call back. In both cases, the pool needs
// no answer from the worker.
//
// The pool does not trust the worker, which can write anything. The pool
// ignores the ring if, according to the counter "written", it has more
// unread bytes than it can contain. A wrong slot makes only tasks of this
// worker fail.
type Journal struct{ mem []byte }

// NewJournal makes a journal in new memory, for the pool. It touches all pages,
// so that no later access fails. It returns ErrNoMemory if the system has no
// memory for a page.
func NewJournal(mem []byte) (*Journal, error) {
	err := CatchFault(func() {
		for i := 0; i < len(mem); i += 4096 {
			mem[i] = 0
		}
		binary.LittleEndian.PutUint64(mem, magic)
	})
	if err != nil {
		return nil, err
	}
	return &Journal{mem}, nil
}

// OpenJournal returns the journal in mem, for the worker.
func OpenJournal(mem []byte) (*Journal, error) {
	if len(mem) != JournalSize || binary.LittleEndian.Uint64(mem) != magic {
		return nil, errors.New("the shared memory is not a journal of this version")
	}
	return &Journal{mem}, nil
}

// Unmap unmaps the memory of the journal. j may be nil.
func (j *Journal) Unmap() {
	if j != nil {
		Unmap(j.mem)
	}
}

func (j *Journal) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&j.mem[offset]))
}

// Written counts the bytes of results that the worker has completed.
func (j *Journal) Written() *atomic.Uint64 { return j.word(writtenAt) }

// Base is the position of the first byte that may be in the ring.
func (j *Journal) Base() *atomic.Uint64 { return j.word(baseAt) }

// Copied counts the results in the arena that the pool has copied.
func (j *Journal) Copied() *atomic.Uint64 { return j.word(copiedAt) }

// Gate counts the times that the pool has taken calls back.
func (j *Journal) Gate() *atomic.Uint64 { return j.word(gateAt) }

// listInUse is a bit of the word "list of".
const listInUse = 1 << 8

// SetList records that the list will contain results of this kind, of the
// calls of one frame. The parameter first is the number of the first call
// whose result is in the list. The worker calls SetList.
func (j *Journal) SetList(seq uint32, first int, kind byte) {
	j.word(listOfAt).Store(uint64(seq)<<32 | uint64(uint16(first))<<16 | listInUse | uint64(kind))
}

// ListOf returns the values that SetList has stored. ok is false if the list
// is not in use. The pool calls ListOf after the death of the worker.
func (j *Journal) ListOf() (seq uint32, first int, kind byte, ok bool) {
	word := j.word(listOfAt).Load()
	return uint32(word >> 32), int(uint16(word >> 16)), byte(word), word&0xff00 == listInUse
}

// List returns the memory of the list: the sizes of the results, 2 bytes for
// each call of the frame, and their bytes.
func (j *Journal) List() (sizes, bytes []byte) { return j.mem[sizesAt:listAt], j.mem[listAt:] }

// Ended returns the number of calls of a frame that have ended, if their
// results are in the list. The frame has n calls. A call has ended if the
// worker has begun the next call. The pool calls Ended after the death of
// the worker.
func (j *Journal) Ended(seq uint32, n int) int {
	word := j.slot(seq).Load()
	if uint32(word>>32) != seq {
		return 0
	}
	return max(0, min(n, frame.MaxList, int(uint16(word>>16))-1))
}

func (j *Journal) slot(seq uint32) *atomic.Uint64 { return j.word(slotsAt + 8*int(seq%Slots)) }

func slotWord(seq uint32, next, limit int) uint64 {
	return uint64(seq)<<32 | uint64(next)<<16 | uint64(limit)
}

// Offer allows the worker to begin the n calls of a frame. The pool calls
// Offer.
func (j *Journal) Offer(seq uint32, n int) { j.slot(seq).Store(slotWord(seq, 0, n)) }

// Begin reports whether the worker may begin a call. The call must be the
// next call of its frame. The worker calls Begin.
func (j *Journal) Begin(seq uint32, call int) bool {
	for {
		word := j.slot(seq).Load()
		limit := int(uint16(word))
		if word != slotWord(seq, call, limit) || call >= limit {
			return false
		}
		if j.slot(seq).CompareAndSwap(word, slotWord(seq, call+1, limit)) {
			return true
		}
	}
}

// Begun returns the number of calls that the worker has begun, of a frame of
// n calls. If the slot is invalid, Begun returns n, because a call that may
// have run must not run again. The pool calls Begun.
func (j *Journal) Begun(seq uint32, n int) int {
	word := j.slot(seq).Load()
	next := int(uint16(word >> 16))
	if word != slotWord(seq, next, n) || next > n {
		return n
	}
	return next
}

// Marked is like Begun, for a worker without compare-and-swap. The slots of
// such a worker have no limit. The pool calls Marked.
func (j *Journal) Marked(seq uint32, n int) int {
	word := j.slot(seq).Load()
	if uint32(word>>32) != seq {
		return n
	}
	return min(n, int(uint16(word>>16)))
}

// TakeBack takes back calls of a frame that has n calls. It takes the calls
// from number keep on, but only if the worker has not begun them. It returns
// the number of calls that stay with the worker. The pool calls TakeBack.
func (j *Journal) TakeBack(seq uint32, keep, n int) (left int) {
	for {
		word := j.slot(seq).Load()
		next := int(uint16(word >> 16))
		left = max(next, keep)
		if word != slotWord(seq, next, n) || left >= n {
			return n
		}
		if j.slot(seq).CompareAndSwap(word, slotWord(seq, next, left)) {
			return left
		}
	}
}

// Put writes bytes into the ring. The parameter position is their position
// in the stream of results. The worker calls Put.
func (j *Journal) Put(position uint64, b []byte) {
	ring := j.mem[ringAt:sizesAt]
	n := copy(ring[position%RingSize:], b)
	copy(ring, b[n:])
}

// Get returns the bytes of the ring from one position to another. If these
// bytes continue at the beginning of the ring, second is the continuation.
func (j *Journal) Get(from, to uint64) (first, second []byte) {
	ring := j.mem[ringAt:sizesAt]
	begin, size := from%RingSize, to-from
	if begin+size <= RingSize {
		return ring[begin : begin+size], nil
	}
	return ring[begin:], ring[:begin+size-RingSize]
}

// Unread returns a copy of the bytes of results that a dead worker has not
// written to the pipe. The parameter read is the number of bytes that the
// pool has read from the pipe. The pool calls Unread after the death of the
// worker.
func (j *Journal) Unread(read uint64) []byte {
	written := j.Written().Load()
	if written <= read || written-read > RingSize || read < j.Base().Load() {
		return nil
	}
	first, second := j.Get(read, written)
	return append(append([]byte(nil), first...), second...)
}
