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
//	4096  slots: the state of each call that is with the worker
//	8192  ring: the last ringSize of those bytes
//
// Results. The worker puts its frames into the ring and moves written past
// them; it writes them to the pipe from there, some or many at a time. If it is
// killed before that, the pool has read fewer bytes from the pipe than written
// says, and takes the rest from the ring. So a result that was finished is never lost.
//
// Calls. Each has a slot, of its number modulo slots, that holds the number and
// a state:
//
//	queued --> started      the worker, before it calls the function
//	queued --> withdrawn    the pool, to cancel it or give it to another
//
// Both use compare-and-swap, so exactly one of them succeeds: a call that was
// withdrawn never runs, and after a death a call was running if and only if
// its slot says started and its result has not come. The pool gives a slot to the next call
// when the one before it has settled or was withdrawn; the worker may still
// have that one before it, and sees that the number in the slot is another.
//
// The worker is not trusted. It can write what it likes: the pool believes
// written only within the ring's size, and a wrong slot makes the worker's own
// tasks fail.
type journal struct{ mem []byte }

const (
	journalMagic = 0x31307472636e6f63 // "concrt01"
	slots        = 1024
	slotsAt      = 4096
	ringAt       = 8192
	ringSize     = 256 << 10
	journalSize  = ringAt + ringSize
)

// The states of a slot; a slot holds the number of a call, shifted by two
// bits, and one of them.
const (
	slotQueued uint32 = iota + 1
	slotStarted
	slotWithdrawn
)

func (j journal) word(offset int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&j.mem[offset]))
}

// mark makes new memory a journal.
func (j journal) mark() { binary.LittleEndian.PutUint64(j.mem, journalMagic) }

// valid reports whether the memory is a journal.
func (j journal) valid() bool {
	return len(j.mem) == journalSize && binary.LittleEndian.Uint64(j.mem) == journalMagic
}

func (j journal) written() *atomic.Uint64 { return j.word(8) }

func (j journal) slot(seq uint32) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&j.mem[slotsAt+4*(seq%slots)]))
}

// queue says that a call is with the worker; the pool's.
func (j journal) queue(seq uint32) { j.slot(seq).Store(seq<<2 | slotQueued) }

// start is the worker's right to begin with a call.
func (j journal) start(seq uint32) bool {
	return j.slot(seq).CompareAndSwap(seq<<2|slotQueued, seq<<2|slotStarted)
}

// withdraw is the pool's right to take a call back.
func (j journal) withdraw(seq uint32) bool {
	return j.slot(seq).CompareAndSwap(seq<<2|slotQueued, seq<<2|slotWithdrawn)
}

// started reports whether the worker has begun with a call that the pool has
// not withdrawn; the pool's. A slot that makes no sense counts as begun: what
// may have run must not run again.
func (j journal) started(seq uint32) bool { return j.slot(seq).Load() != seq<<2|slotQueued }

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
	if written <= read || written-read > ringSize {
		return nil
	}
	first, second := j.get(read, written)
	return append(append([]byte(nil), first...), second...)
}
