package osproc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CanLimitMemory says whether this system supports ResidentMemory and
// LimitMemory.
const CanLimitMemory = true

// LimitMemory limits the memory that a process may map for writing. A limit of
// its address space would be of no use, because Go reserves far more than it
// uses.
func LimitMemory(p *os.Process, bytes int64) error {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := unix.Prlimit(p.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		return fmt.Errorf("set the memory limit (RLIMIT_DATA): %w", err)
	}
	return nil
}

// GrowPipe enlarges the buffer of a pipe, so that large values need fewer
// system calls. If the limit of the user does not allow it, the buffer stays.
func GrowPipe(pipe *os.File) {
	conn, err := pipe.SyscallConn()
	if err != nil {
		return
	}
	conn.Control(func(fd uintptr) { unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
}
