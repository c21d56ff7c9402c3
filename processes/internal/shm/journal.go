package shm

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"unsafe"
)

// Journal is memory that the pool shares with one worker. It answers two
// questions that pipes leave open when a process dies or a task is canceled:
// which calls has the worker begun, and which results has it finished?
//
//	0     magic, by which a worker recognizes a journal
//	8     written: how many bytes of results the worker has completed, in total
//	16    base: bytes before this one are not in the ring, since a large frame did not use it
//	24    copied: how many results in the arena the pool has copied, in total
//	32    gate: how many times the pool has taken calls back from a worker with a gate, in total
//	4096  slots: how far the worker is with the calls that it has
//	12288 ring: the last RingSize of the written bytes
//
// # Results
//
// The worker writes its frames into the ring and advances written. It writes
// them from there to the pipe, one or many in one system call. If the worker is
// killed before that, the pool has read fewer bytes from the pipe than written
// says, and takes the others from the ring. So no finished result is lost.
//
// # Calls
//
// Each frame of calls has a slot, by the number of the frame modulo Slots:
//
//	number of the frame uint32 | next call to begin uint16 | limit uint16
//
//	next < limit: next + 1           by the worker, before it calls the function
//	limit lowered, not below next    by the pool, to cancel calls or to give them to another worker
//
// Both use compare-and-swap on the whole word, so exactly one of them succeeds.
// A call that was taken back never runs. When the worker has died, a call was
// running if and only if it is below next and its result has not arrived. The
// pool gives a slot to another frame when all calls of the frame before have
// settled or were taken back. The worker may still read that frame later; it
// finds another number in the slot, and skips the frame.
//
// # Gate
//
// A worker in a language without compare-and-swap writes its next call into the
// slot, and the pool does not write there, so the pool can see what the worker
// begins. The pool takes calls back through the gate:
//
//	write the slot, then read gate       by the worker, before it calls the function; then it
//	                                     waits until it has received as many TakeBacks
//	write gate, then read the slot       by the pool; then it sends a TakeBack of the calls that
//	                                     have not begun
//
// Either the pool sees the call in the slot, and leaves it to the worker. Or
// the worker sees the gate, and learns by the TakeBack that it must not run the
// call. The pool does not need an answer from the worker.
//
// The worker is not trusted and can write anything. The pool accepts written
// only within the size of the ring, and a wrong slot makes only tasks of this
// worker fail.
type Journal struct{ mem []byte }

const (
	// JournalSize is the size of a journal in bytes.
	JournalSize = ringAt + RingSize

	// Slots is the number of slots, which bounds the frames in a worker.
	Slots = 1024

	// RingSize is the size of the ring in bytes.
	RingSize = 256 << 10

	magic   = 0x31307472636e6f63 // "concrt01"
	slotsAt = 4096
	ringAt  = 12288
)

// NewJournal makes a journal in new memory, for the pool. It touches all pages,
// so that no later access fails. The error is ErrNoMemory.
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

// Unmap ends the use of the journal. j may be nil.
func (j *Journal) Unmap() {
	if j != nil {
		Unmap(j.mem)
	}
}

func (j *Journal) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&j.mem[offset]))
}

// Written counts the bytes of results that the worker has completed.
func (j *Journal) Written() *atomic.Uint64 { return j.word(8) }

// Base is the position of the first byte that may be in the ring.
func (j *Journal) Base() *atomic.Uint64 { return j.word(16) }

// Copied counts the results in the arena that the pool has copied.
func (j *Journal) Copied() *atomic.Uint64 { return j.word(24) }

// Gate counts how many times the pool has taken calls back.
func (j *Journal) Gate() *atomic.Uint64 { return j.word(32) }

func (j *Journal) slot(seq uint32) *atomic.Uint64 { return j.word(slotsAt + 8*int(seq%Slots)) }

func slotWord(seq uint32, next, limit int) uint64 {
	return uint64(seq)<<32 | uint64(next)<<16 | uint64(limit)
}

// Offer allows the worker to begin the n calls of a frame. The pool calls it.
func (j *Journal) Offer(seq uint32, n int) { j.slot(seq).Store(slotWord(seq, 0, n)) }

// Begin reports whether the worker may begin a call, which must be the next one
// of the frame. The worker calls it.
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

// Begun returns how many of the n calls of a frame the worker has begun. If the
// slot is invalid, it returns n: a call that may have run must not run again.
// The pool calls it.
func (j *Journal) Begun(seq uint32, n int) int {
	word := j.slot(seq).Load()
	next := int(uint16(word >> 16))
	if word != slotWord(seq, next, n) || next > n {
		return n
	}
	return next
}

// Marked returns how many of the n calls of a frame a worker without
// compare-and-swap has begun. The pool calls it.
func (j *Journal) Marked(seq uint32, n int) int {
	word := j.slot(seq).Load()
	if uint32(word>>32) != seq {
		return n
	}
	return min(n, int(uint16(word>>16)))
}

// TakeBack takes back the calls of a frame of n calls that the worker has not
// begun, from number keep on. It returns how many calls stay with the worker.
// The pool calls it.
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

// Put writes bytes into the ring at a position of the stream of results. The
// worker calls it.
func (j *Journal) Put(position uint64, b []byte) {
	ring := j.mem[ringAt:]
	n := copy(ring[position%RingSize:], b)
	copy(ring, b[n:])
}

// Get returns the bytes of the ring from one position to another, in at most
// two parts.
func (j *Journal) Get(from, to uint64) (first, second []byte) {
	ring := j.mem[ringAt:]
	begin, size := from%RingSize, to-from
	if begin+size <= RingSize {
		return ring[begin : begin+size], nil
	}
	return ring[begin:], ring[:begin+size-RingSize]
}

// Unread returns a copy of the bytes of results that are only in the ring,
// because the worker died before it wrote them to the pipe. The pool, which has
// read that many bytes from the pipe, calls it after the death of the worker.
func (j *Journal) Unread(read uint64) []byte {
	written := j.Written().Load()
	if written <= read || written-read > RingSize || read < j.Base().Load() {
		return nil
	}
	first, second := j.Get(read, written)
	return append(append([]byte(nil), first...), second...)
}
