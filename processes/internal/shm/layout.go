package shm

import "concert/internal/frame"

// The layout of a [Journal]. The numbers are offsets in bytes:
//
//	0      magic, by which a worker recognizes a journal
//	8      written: how many bytes of results the worker has completed, in total
//	16     base: bytes before this one are not in the ring, because a large frame bypassed the ring
//	24     copied: how many results in the arena the pool has copied, in total
//	32     gate: how many times the pool has taken calls back from a worker with a gate, in total
//	40     list of: the frame of calls whose results are in the list
//	4096   slots: for each frame of calls, which calls the worker has begun
//	12288  ring: the last RingSize of the written bytes
//	274432 list: the sizes of the results that "list of" describes
//	276480 bytes of these results
const (
	writtenAt = 8
	baseAt    = 16
	copiedAt  = 24
	gateAt    = 32
	listOfAt  = 40
	slotsAt   = 4096
	ringAt    = 12288
	sizesAt   = ringAt + RingSize
	listAt    = sizesAt + 2*frame.MaxList

	magic = 0x31307472636e6f63 // "concrt01"

	// JournalSize is the size of a journal in bytes.
	JournalSize = listAt + ListSize

	// Slots is the number of slots. A worker cannot have more frames.
	Slots = 1024

	// RingSize is the size of the ring in bytes.
	RingSize = 256 << 10

	// ListSize is the maximum size in bytes of all results in the list.
	ListSize = 32 << 10
)

// ArenaSize is the size of an [Arena] in bytes. The arguments are in the first
// half, and the results are in the second half.
const ArenaSize = 512 << 20
