package shm

import (
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// # Mapped results
//
//	worker: Seal --file--> socket --TakeFile--> pool: MapResult --> release
//
// The pool does not trust the file. A fault in mapped memory ends the process,
// so MapResult checks that no fault can happen: the file is one in memory, it
// is sealed, it has the size that the worker has reported, and the system has
// provided memory for all of its pages.
//
// The mapping is private: the program can change the memory, and gets copies of
// the pages that it changes.
//
// A program may use the memory of a result after its release by mistake. If
// the system had given the addresses to another mapping, the program would
// read wrong numbers, or change another value. So the addresses of the most
// recently released results stay reserved. Such a range of addresses is a
// guard: it has no memory, and an access to it ends the process. Guards help
// to find such mistakes, but do not find all of them.

// The limits of mapped results in this process.
const (
	// MaxResults is the maximum number of results that are mapped at the
	// same time. The Go runtime needs mappings, too, and fails if the system
	// permits no further mappings. Linux permits 65,530 mappings by default.
	MaxResults = 4096

	maxGuards     = 256      // maximum number of guards
	maxGuardBytes = 64 << 30 // maximum size of all guards; this is a part of the address space, and not memory
)

var results struct {
	mu         sync.Mutex
	mapped     int      // guarded by mu: the number of mapped results
	guards     [][]byte // guarded by mu: the guards, the oldest first
	guardBytes int      // guarded by mu: the size of all guards
}

// MapResult maps the file of a result, which a worker has sent, and closes
// the file. The caller must call release when the program no longer uses the
// memory. If too many results are mapped, or if the system refuses the
// mapping, MapResult returns a copy in Go's memory. If the file is invalid,
// the error wraps ErrUnsealed.
func MapResult(file *os.File, size int) (mem []byte, release func(), err error) {
	if err := checkSealed(int(file.Fd()), size); err != nil {
		go file.Close() // on another goroutine, because Close may block if the file is not in memory
		return nil, nil, err
	}
	defer file.Close()
	if mem := mapPrivate(int(file.Fd()), size); mem != nil {
		return mem, func() { unmapResult(mem) }, nil
	}
	mem = make([]byte, size)
	if _, err := file.ReadAt(mem, 0); err != nil {
		return nil, nil, fmt.Errorf("read a result of %d bytes: %w", size, err)
	}
	return mem, func() {}, nil
}

// mapPrivate maps a file. It returns nil if too many results are mapped, or if
// the system refuses the mapping.
func mapPrivate(fd, size int) []byte {
	results.mu.Lock()
	defer results.mu.Unlock()
	if results.mapped >= MaxResults {
		return nil
	}
	at, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil
	}
	results.mapped++
	return unsafe.Slice((*byte)(at), size)
}

// checkSealed returns an error if the file is not in memory, can be changed,
// has another size, or has pages for which the system has not provided memory.
func checkSealed(fd, size int) error {
	seals, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0) // comes first, because this call fails for a file of another kind, and does not access that file
	if err != nil {
		return fmt.Errorf("%w: read the seals of the file of a result: %w", ErrUnsealed, err)
	}
	if seals&allSeals != allSeals {
		return fmt.Errorf("%w: the file of a result has the seals %#x, and not all of %#x", ErrUnsealed, seals, allSeals)
	}
	var system unix.Statfs_t
	if err := unix.Fstatfs(fd, &system); err != nil {
		return fmt.Errorf("%w: read the file system of the file of a result: %w", ErrUnsealed, err)
	}
	if system.Type != unix.TMPFS_MAGIC {
		return fmt.Errorf("%w: the file of a result is in a file system of type %#x", ErrUnsealed, system.Type)
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return fmt.Errorf("%w: read the flags of the file of a result: %w", ErrUnsealed, err)
	}
	if flags&unix.O_ACCMODE != unix.O_RDWR {
		return fmt.Errorf("%w: the file of a result is not open for reading and writing (flags %#x)", ErrUnsealed, flags)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return fmt.Errorf("%w: read the size of the file of a result: %w", ErrUnsealed, err)
	}
	if stat.Size != int64(size) {
		return fmt.Errorf("%w: the file of a result has %d bytes, not %d", ErrUnsealed, stat.Size, size)
	}
	// The number of blocks does not show holes: a file can have blocks after
	// its end.
	hole, err := unix.Seek(fd, 0, unix.SEEK_HOLE)
	if err != nil {
		return fmt.Errorf("%w: find holes in the file of a result: %w", ErrUnsealed, err)
	}
	if hole != stat.Size {
		return fmt.Errorf("%w: the file of a result has %d bytes, and only the first %d of them are in memory", ErrUnsealed, stat.Size, hole)
	}
	return nil
}

// unmapResult releases the memory of a result. The addresses become a guard.
// But if the address space is limited, the addresses become free, because
// the program needs them.
func unmapResult(mem []byte) {
	results.mu.Lock()
	defer results.mu.Unlock()
	results.mapped--
	at := unsafe.Pointer(unsafe.SliceData(mem))
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_AS, &limit); err != nil || limit.Cur != unix.RLIM_INFINITY {
		unix.MunmapPtr(at, uintptr(len(mem)))
		return
	}
	if _, err := unix.MmapPtr(-1, 0, at, uintptr(len(mem)), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED|unix.MAP_NORESERVE); err != nil {
		unix.MunmapPtr(at, uintptr(len(mem)))
		return
	}
	results.guards = append(results.guards, mem)
	results.guardBytes += len(mem)
	for len(results.guards) > maxGuards || results.guardBytes > maxGuardBytes {
		oldest := results.guards[0]
		results.guards[0] = nil
		results.guards = results.guards[1:]
		results.guardBytes -= len(oldest)
		unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(oldest)), uintptr(len(oldest)))
	}
}
