//go:build unix

package download

import (
	"io/fs"
	"os"
	"syscall"
)

// oNoFollow makes the opening of a symbolic link fail. The opening of a FIFO
// does not block.
const oNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// isOwn reports whether a file belongs to the user of this process. The check
// is necessary because, in a shared directory, another user can create a file
// with the name of a part.
func isOwn(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) == os.Geteuid()
}

// inode returns the inode number of a file.
func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino)
	}
	return 0
}
