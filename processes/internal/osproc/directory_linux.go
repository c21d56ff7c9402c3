package osproc

import (
	"cmp"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Directory is an open directory. It refers to the same directory after a
// rename.
type Directory struct {
	file *os.File
	path string // for os/exec
}

// OpenDirectory opens a directory. Empty means the current one.
func OpenDirectory(name string) (Directory, error) {
	name = cmp.Or(name, ".")
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Directory{}, &os.PathError{Op: "open", Path: name, Err: err}
	}
	// The new process changes its directory before exec closes the file.
	return Directory{os.NewFile(uintptr(fd), name), fmt.Sprint("/proc/self/fd/", fd)}, nil
}

// Path returns a path by which os/exec finds the directory.
func (d Directory) Path() string { return d.path }

// Close closes the directory.
func (d Directory) Close() { d.file.Close() }
