//go:build unix

package output

import (
	"os"

	"golang.org/x/sys/unix"
)

// createUnlinked creates a file and removes its name.
func createUnlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "concert-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// duplicate returns another descriptor of the same file description.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// measure returns the size of a file, and whether it must be emptied. It
// examines both the size and the blocks: on a network file system, a file with
// content may have no blocks, and a job can allocate blocks for an empty file.
func measure(f *os.File) (size int64, occupied bool, err error) {
	var st unix.Stat_t
	for {
		if err = unix.Fstat(int(f.Fd()), &st); err != unix.EINTR {
			return st.Size, st.Size > 0 || st.Blocks > 0, os.NewSyscallError("fstat", err)
		}
	}
}

// readNow reads the bytes that are in a pipe, without waiting. It returns 0 if
// the pipe is empty.
func readNow(f *os.File, buf []byte) (n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	raw.Read(func(fd uintptr) bool {
		for {
			if n, err = unix.Read(int(fd), buf); err != unix.EINTR {
				return true
			}
		}
	})
	return max(n, 0)
}

// pipe returns a pipe for a job. The end for the job is in blocking mode, as
// jobs expect it. os.Pipe makes both ends non-blocking.
func pipe() (read, write *os.File, err error) {
	if read, write, err = os.Pipe(); err != nil {
		return nil, nil, err
	}
	raw, err := write.SyscallConn()
	if err == nil {
		e := raw.Control(func(fd uintptr) { err = unix.SetNonblock(int(fd), false) })
		if err == nil {
			err = e
		}
	}
	if err != nil {
		read.Close()
		write.Close()
	}
	return read, write, err
}
