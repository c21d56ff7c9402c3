package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// The locked byte is far behind the content, because Windows does not let other
// processes read locked bytes.
const offsetHigh = 1 << 30

// Lock locks a file until Unlock or the end of the process. It blocks while
// the file is locked by another open file, of any process.
func Lock(f *os.File) error { return lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK) }

// LockUnlessTaken is like Lock, but does not block. If another open file, of
// any process, has the lock, it returns true instead. If the file system has
// no locks, LockUnlessTaken does nothing.
func LockUnlessTaken(f *os.File) (taken bool) {
	err := lock(f, windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY)
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// Unlock releases the lock of a file.
func Unlock(f *os.File) {
	windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{OffsetHigh: offsetHigh})
}

func lock(f *os.File, flags uint32) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: offsetHigh})
}
