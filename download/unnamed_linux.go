package download

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// createUnnamed creates a file in a directory without a name. The file vanishes
// when it is closed, unless linkUnnamed gives it a name. The error wraps
// errors.ErrUnsupported if the file system has no unnamed files.
func createUnnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	switch err {
	case nil:
		return os.NewFile(uintptr(fd), filepath.Join(dir, "(unnamed)")), nil
	case unix.EISDIR, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOENT: // the errors of file systems and kernels without O_TMPFILE
		return nil, fmt.Errorf("%w: %w", errors.ErrUnsupported, err)
	}
	return nil, &os.PathError{Op: "create a file in", Path: dir, Err: err}
}

// linkNeedsPath is whether the kernel does not let this process link a file by
// its descriptor alone.
var linkNeedsPath atomic.Bool

// linkUnnamed gives an unnamed file a name. The error wraps fs.ErrExist if the
// name exists.
func linkUnnamed(f *os.File, path string) error {
	err := error(unix.ENOENT)
	if !linkNeedsPath.Load() {
		err = unix.Linkat(int(f.Fd()), "", unix.AT_FDCWD, path, unix.AT_EMPTY_PATH)
		if err == unix.ENOENT {
			linkNeedsPath.Store(true)
		}
	}
	if err == unix.ENOENT {
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.Fd()), unix.AT_FDCWD, path, unix.AT_SYMLINK_FOLLOW)
	}
	if err != nil {
		return &os.PathError{Op: "link", Path: path, Err: err}
	}
	return nil
}

// setModifiedUnnamed sets the modification time of an unnamed file.
func setModifiedUnnamed(f *os.File, t time.Time) error {
	modified, err := unix.TimeToTimespec(t)
	if err != nil {
		return &os.PathError{Op: "set the modification time of", Path: f.Name(), Err: err}
	}
	times := [2]unix.Timespec{{Nsec: unix.UTIME_OMIT}, modified}
	// A call of utimensat with a descriptor and without a path is futimens.
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, f.Fd(), 0, uintptr(unsafe.Pointer(&times)), 0, 0, 0)
	if errno != 0 {
		return &os.PathError{Op: "set the modification time of", Path: f.Name(), Err: errno}
	}
	return nil
}

// renameNew renames a file, and fails with fs.ErrExist if the new name exists.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EOPNOTSUPP {
		return linkNew(from, to)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
