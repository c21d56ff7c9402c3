//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package server

import (
	"errors"
	"os"
)

// lockFile returns an error: this system has no locks of files.
func lockFile(*os.File) error { return errors.ErrUnsupported }

// tryLockFile returns an error, as lockFile does.
func tryLockFile(*os.File) error { return errors.ErrUnsupported }

// unlockFile does nothing.
func unlockFile(*os.File) {}
