package processes

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// newShared returns memory of that size, mapped here, and a file to hand to a
// worker. The file is sealed: were the worker to shrink it, the next touch of
// the memory would kill this process.
func newShared(name string, size int) (mem []byte, file *os.File, err error) {
	if bits.UintSize == 32 && size > 1<<20 {
		return nil, nil, fmt.Errorf("processes: no shared memory of %d bytes: there is no room for it: %w", size, errors.ErrUnsupported)
	}
	// To make a file longer than the limit for files allows would end this
	// process.
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &limit); err == nil && limit.Cur < uint64(size) {
		return nil, nil, fmt.Errorf("processes: no shared memory of %d bytes: files are limited to %d: %w", size, limit.Cur, errors.ErrUnsupported)
	}
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, nil, fmt.Errorf("processes: no shared memory: %w", err)
	}
	file = os.NewFile(uintptr(fd), name)
	defer func() {
		if err != nil {
			file.Close()
		}
	}()
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, nil, fmt.Errorf("processes: no shared memory of %d bytes: %w", size, err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil, nil, fmt.Errorf("processes: shared memory cannot be sealed: %w", err)
	}
	mem, err = mapShared(file)
	return mem, file, err
}

// mapShared maps a file of newShared.
func mapShared(file *os.File) ([]byte, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return nil, fmt.Errorf("processes: shared memory has no size: %w", err)
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, int(stat.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("processes: shared memory cannot be mapped: %w", err)
	}
	return mem, nil
}

// populate has the pages of shared memory be there, and reports whether they
// are: they can be read without a fault then. Linux before 5.14 cannot.
func populate(mem []byte) bool {
	if len(mem) == 0 {
		return true
	}
	page := uintptr(os.Getpagesize())
	first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	aligned := first &^ (page - 1)
	_, _, e := unix.Syscall(unix.SYS_MADVISE, aligned, first-aligned+uintptr(len(mem)), unix.MADV_POPULATE_READ)
	return e == 0
}

// trimShared gives back the pages that were touched. If it cannot, they stay.
func trimShared(mem []byte) { unix.Madvise(mem, unix.MADV_REMOVE) }

func unmapShared(mem []byte) {
	if mem != nil {
		unix.Munmap(mem)
	}
}
