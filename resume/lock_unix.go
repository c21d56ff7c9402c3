//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package resume

import (
	"os"
	"syscall"
)

// tryLock locks a file until unlock or the end of the process. It reports
// whether another open file, of any process, has the lock. If the file system
// has no locks, tryLock does nothing.
func tryLock(f *os.File) (taken bool) {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EINTR {
			return err == syscall.EWOULDBLOCK
		}
	}
}

// unlock releases the lock. Without it, the lock would outlive the file if the
// program starts a process at this moment, because the new process has a copy
// of the open file until it runs its program.
func unlock(f *os.File) { syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
