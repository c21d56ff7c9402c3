//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package filelock

import (
	"errors"
	"os"
)

// Lock returns an error: this system has no locks of files.
func Lock(*os.File) error { return errors.ErrUnsupported }

// LockUnlessTaken returns false: this system has no locks of files.
func LockUnlessTaken(*os.File) (taken bool) { return false }

// Unlock does nothing.
func Unlock(*os.File) {}
