//go:build unix

package devserver

import (
	"os"
	"syscall"
)

// owner returns the id of the user to whom a file belongs.
func owner(info os.FileInfo) (uid int, known bool) {
	stat, known := info.Sys().(*syscall.Stat_t)
	if !known {
		return 0, false
	}
	return int(stat.Uid), true
}
