//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package resume

import (
	"os"
	"syscall"
)

// tryLock locks a file until it is closed. It reports whether another open
// file, of any process, has the lock. If the file system has no locks, tryLock
// does nothing.
func tryLock(f *os.File) (taken bool) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err == syscall.EWOULDBLOCK
		}
	}
}
