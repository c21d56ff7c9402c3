package shm

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// New creates shared memory and maps it in this process. It returns the memory
// and its file, which the pool passes to a worker. The file is sealed: if the
// worker could shrink the file, the next access of this process to the memory
// would kill this process.
func New(name string, size int) (mem []byte, file *os.File, err error) {
	if bits.UintSize == 32 && size > 1<<20 {
		return nil, nil, fmt.Errorf("shared memory of %d bytes: the address space of 32 bits is too small: %w", size, errors.ErrUnsupported)
	}
	// If the file became larger than the limit, a signal would end this
	// process.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(size) {
		return nil, nil, fmt.Errorf("shared memory of %d bytes: files are limited to %d bytes (RLIMIT_FSIZE): %w", size, limit.Cur, errors.ErrUnsupported)
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("create shared memory: %w", err)
	}
	file = os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, nil, fmt.Errorf("set the size of shared memory to %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, nil, fmt.Errorf("seal shared memory: %w", err)
	}
	mem, err = Map(file)
	return mem, file, err
}

// Map maps shared memory, given its file.
func Map(file *os.File) ([]byte, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("read the size of shared memory: %w", err)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	return mem, nil
}

// Populate makes the system provide memory for all pages of mem, so that
// reading these pages cannot fail. It reports whether the system has provided
// the memory. Linux before 5.14 does not support this.
func Populate(mem []byte) bool {
	if len(mem) == 0 {
		return true
	}
	page := uintptr(os.Getpagesize())
	first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	aligned := first &^ (page - 1)
	_, _, e := unix.Syscall(unix.SYS_MADVISE, aligned, first-aligned+uintptr(len(mem)), unix.MADV_POPULATE_READ)
	return e == 0
}

// trim returns the touched pages to the system.
func trim(mem []byte) { unix.Madvise(mem, unix.MADV_REMOVE) }

// Unmap unmaps mem, which may be nil.
func Unmap(mem []byte) {
	if mem != nil {
		unix.Munmap(mem)
	}
}
