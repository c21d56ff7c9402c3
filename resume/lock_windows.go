package resume

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// tryLock locks a file until it is closed. It reports whether another open
// file, of any process, has the lock. If the file system has no locks, tryLock
// does nothing. The locked byte is far behind the content, because Windows does
// not let other processes read locked bytes.
func tryLock(f *os.File) (taken bool) {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: 1 << 30})
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION)
}

// unlock does nothing, because closing the file releases the lock.
func unlock(*os.File) {}
