//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package resume

import "os"

// tryLock does nothing, because this system has no locks of files.
func tryLock(*os.File) (taken bool) { return false }

// unlock does nothing, because closing the file releases the lock.
func unlock(*os.File) {}
