//go:build linux || darwin

package download

import (
	"os"

	"golang.org/x/sys/unix"
)

// setAttribute stores an extended attribute of a file, if that is possible.
func setAttribute(f *os.File, name string, value []byte) {
	unix.Fsetxattr(int(f.Fd()), name, value, 0)
}

// getAttribute returns an extended attribute of a file, or nil.
func getAttribute(path, name string) []byte {
	b := make([]byte, 4<<10)
	n, err := unix.Lgetxattr(path, name, b)
	if err != nil {
		return nil
	}
	return b[:n]
}
