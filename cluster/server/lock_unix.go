//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package server

import (
	"os"
	"syscall"
)

// lockFile locks a file until unlockFile or the end of the process. It blocks
// while the file is locked by another open file, of any process.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

// tryLockFile locks a file as lockFile does. If the file is locked already,
// tryLockFile returns an error.
func tryLockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// unlockFile releases the lock of a file. To close the file would not release
// it while this process starts another one: until the new process executes its
// program, it has a copy of each descriptor, and the lock belongs to all
// copies.
func unlockFile(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
