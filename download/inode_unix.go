//go:build unix

package download

import (
	"io/fs"
	"os"
	"syscall"
)

// oNoFollow makes opening a symbolic link fail. A path in which a FIFO was put
// does not block.
const oNoFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// isOwn reports whether a file belongs to the user of this process. Another
// user of a shared directory could plant a part.
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
