package server

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile locks a file until it is closed. It blocks while the file is locked
// by another open file, of any process.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK, 0, 1, 0, new(windows.Overlapped))
}

// tryLockFile locks a file until it is closed. If the file is locked already,
// tryLockFile returns an error.
func tryLockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}
