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

// LockUnlessTaken is like Lock, but does not block. If another open file, of
// any process, has the lock, it returns true instead. If the file system has
// no locks, LockUnlessTaken does nothing.
func LockUnlessTaken(f *os.File) (taken bool) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err == syscall.EWOULDBLOCK
		}
	}
}

// Unlock releases the lock of a file. A close of the file is not enough while
// this process starts another process. Until the new process executes its
// program, it has a copy of each descriptor, and the lock belongs to all
// copies.
func Unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
