//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package server

import (
	"os"
	"syscall"
)

// lockFile locks a file until it is closed. It blocks while the file is locked
// by another open file, of any process.
func lockFile(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			return err
		}
	}
}

// tryLockFile locks a file until it is closed. If the file is locked already,
// tryLockFile returns an error.
func tryLockFile(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
