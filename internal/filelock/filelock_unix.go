//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package filelock

import (
	"os"
	"syscall"
)

// Lock locks a file until Unlock or the end of the process. It blocks while
// the file is locked by another open file, of any process.
func Lock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

// TryLock locks a file as Lock does. If the file is locked already, TryLock
// returns an error.
func TryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

// Unlock releases the lock of a file. To close the file would not release it
// while this process starts another one: until the new process executes its
// program, it has a copy of each descriptor, and the lock belongs to all
// copies.
func Unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
