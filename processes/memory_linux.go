package processes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newShared returns memory of that size, mapped here, and a file to hand to a
// worker. The file is sealed: were the worker to shrink it, the next touch of
// the memory would kill this process.
func newShared(name string, size int) (mem []byte, file *os.File, err error) {
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
	mem, err = mapShared(file, size)
	return mem, file, err
}

// mapShared maps a file of newShared.
func mapShared(file *os.File, size int) ([]byte, error) {
	mem, err := unix.Mmap(int(file.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("processes: shared memory cannot be mapped: %w", err)
	}
	return mem, nil
}

func unmapShared(mem []byte) {
	if mem != nil {
		unix.Munmap(mem)
	}
}
