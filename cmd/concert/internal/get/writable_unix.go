//go:build linux || darwin

package get

import (
	"io/fs"
	"syscall"
)

// checkWritable returns an error if no file can be created in a directory.
func checkWritable(dir string) error {
	const writeAndSearch = 3
	if err := syscall.Access(dir, writeAndSearch); err != nil {
		return &fs.PathError{Op: "write to", Path: dir, Err: err}
	}
	return nil
}
