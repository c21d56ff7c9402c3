package output

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// createFile creates a file without a name.
func createFile(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, unix.O_TMPFILE|unix.O_EXCL|os.O_RDWR, 0o600)
	if err != nil { // old file systems and network file systems have no unnamed files
		return createUnlinked(dir)
	}
	return f, nil
}

// reopen opens a file again for a job, with a new file description.
func reopen(f *os.File) (*os.File, error) {
	name := fmt.Sprintf("/proc/self/fd/%d", f.Fd())
	for {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), name), nil
		case unix.EINTR:
		default:
			return nil, &os.PathError{Op: "open", Path: name, Err: err}
		}
	}
}

// copyRange copies bytes between files in the kernel. It returns the number of
// copied bytes, which is smaller than n if the kernel cannot copy between
// these files.
func copyRange(to *os.File, toOff int64, from *os.File, n int64) (copied int64) {
	var fromOff int64
	for copied < n {
		k, err := unix.CopyFileRange(int(from.Fd()), &fromOff, int(to.Fd()), &toOff, int(min(n-copied, 1<<30)), 0)
		if err == unix.EINTR {
			continue
		}
		if k <= 0 || err != nil {
			break
		}
		copied += int64(k)
	}
	return copied
}

// punch frees the disk space of a range, which then contains zeros. A file
// system without this operation keeps the space until the file is truncated.
func punch(f *os.File, off, n int64) {
	unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// freeSpace returns the disk space that this process can still use, or a large
// number if this is unknown.
func freeSpace(f *os.File) int64 {
	var st unix.Statfs_t
	if unix.Fstatfs(int(f.Fd()), &st) != nil || st.Blocks == 0 {
		return math.MaxInt64
	}
	free := st.Bavail
	if os.Geteuid() == 0 {
		free = st.Bfree
	}
	if free > 1<<32 {
		return math.MaxInt64
	}
	return int64(free) * int64(st.Bsize)
}
