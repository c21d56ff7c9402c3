package processes

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// journal is memory that the pool shares with one worker. It makes two things
// exact that pipes leave open when a process dies or a task is withdrawn:
//
//	0     magic, so that a worker sees that it has the right thing
//	8     written: how many bytes of results the worker has completed, ever
//	16    base: those before it are not in the ring, since a large one went past it
//	24    taken: how many results in the arena the pool has copied, ever
//	32    gate: how many times the pool has asked for calls, ever, of a worker with a gate
//	4096  slots: how far the worker is with the calls that it has
//	12288 ring: the last ringSize of those bytes
//
// Results. The worker puts its frames into the ring and moves written past
// them; it writes them to the pipe from there, some or many at a time. If it is
// killed before that, the pool has read fewer bytes from the pipe than written
// says, and takes the rest from the ring. So a result that was finished is
// never lost.
//
// Calls. Those that came together, in one frame, have a slot, of their number
// modulo slots:
//
//	number of the frame uint32 | next call to begin uint16 | limit uint16
//
//	next < limit: next + 1           the worker, before it calls the function
//	limit lowered, not below next    the pool, to cancel calls or to give them to another
//
// Both use compare-and-swap on the whole word, so exactly one of them succeeds:
// a call that was withdrawn never runs, and after a death a call was running if
// and only if it is below next and its result has not come. The pool gives a
// slot to another frame when all calls of the one before it have settled or
// were withdrawn; the worker may still have that one before it, and sees that
// the number in the slot is another.
//
// A worker in a language without compare-and-swap writes its next call into the
// slot, and nobody else does meanwhile: what it begins can be seen. Its calls
// are taken back through the gate:
//
//	write the slot, then read gate       the worker, before it calls the function; then it
//	                                     waits until it has received as many TakeBacks
//	write gate, then read the slot       the pool, to take calls back; then it sends a
//	                                     TakeBack of those that have not begun
//
// Either the pool sees the call in the slot, and leaves it to the worker, or
// the worker sees the gate, and learns that the call is not for it any more.
// The worker need not answer.
//
// The worker is not trusted. It can write what it likes: the pool believes
// written only within the ring's size, and a wrong slot makes the worker's own
// tasks fail.
type journal struct{ mem []byte }

const (
	journalMagic = 0x31307472636e6f63 // "concrt01"
	slots        = 1024
	slotsAt      = 4096
	ringAt       = 12288
	ringSize     = 256 << 10
	journalSize  = ringAt + ringSize
)

func (j journal) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&j.mem[offset]))
}

// sign makes new memory a journal, and has all of its pages be there.
func (j journal) sign() {
	for i := 0; i < len(j.mem); i += 4096 {
		j.mem[i] = 0
	}
	binary.LittleEndian.PutUint64(j.mem, journalMagic)
}

// valid reports whether the memory is a journal.
func (j journal) valid() bool {
	return len(j.mem) == journalSize && binary.LittleEndian.Uint64(j.mem) == journalMagic
}

func (j journal) written() *atomic.Uint64 { return j.word(8) }

func (j journal) base() *atomic.Uint64 { return j.word(16) }

func (j journal) taken() *atomic.Uint64 { return j.word(24) }

func (j journal) gate() *atomic.Uint64 { return j.word(32) }

func (j journal) slot(seq uint32) *atomic.Uint64 { return j.word(slotsAt + 8*int(seq%slots)) }

func slotWord(seq uint32, next, limit int) uint64 {
	return uint64(seq)<<32 | uint64(next)<<16 | uint64(limit)
}

// offer says that the worker may begin with the n calls of a frame; the pool's.
func (j journal) offer(seq uint32, n int) { j.slot(seq).Store(slotWord(seq, 0, n)) }

// begin is the worker's right to begin with a call, which has to be the next.
func (j journal) begin(seq uint32, call int) bool {
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

// begun returns how many of n calls the worker has begun; the pool's. Of a slot
// that makes no sense it is all of them: what may have run must not run again.
func (j journal) begun(seq uint32, n int) int {
	word := j.slot(seq).Load()
	next := int(uint16(word >> 16))
	if word != slotWord(seq, next, n) || next > n {
		return n
	}
	return next
}

// marked returns how many of n calls a worker that only writes slots has begun;
// the pool's.
func (j journal) marked(seq uint32, n int) int {
	word := j.slot(seq).Load()
	if uint32(word>>32) != seq {
		return n
	}
	return min(n, int(uint16(word>>16)))
}

// withdraw is the pool's right to take calls back: of n, those from keep on
// that have not begun. It returns how many are left.
func (j journal) withdraw(seq uint32, keep, n int) (left int) {
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

// put writes bytes into the ring at a position of the stream; the worker's.
func (j journal) put(position uint64, b []byte) {
	ring := j.mem[ringAt:]
	n := copy(ring[position%ringSize:], b)
	copy(ring, b[n:])
}

// get returns the bytes of the ring from one position to another, in at most
// two parts.
func (j journal) get(from, to uint64) (first, second []byte) {
	ring := j.mem[ringAt:]
	begin, size := from%ringSize, to-from
	if begin+size <= ringSize {
		return ring[begin : begin+size], nil
	}
	return ring[begin:], ring[:begin+size-ringSize]
}

// lost returns a copy of the bytes that the worker completed and the pool,
// having read so many, did not get; the pool's, after the worker's death.
func (j journal) lost(read uint64) []byte {
	written := j.written().Load()
	if written <= read || written-read > ringSize || read < j.base().Load() {
		return nil
	}
	first, second := j.get(read, written)
	return append(append([]byte(nil), first...), second...)
}
