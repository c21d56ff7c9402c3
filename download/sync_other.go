//go:build !linux

package download

import (
	"io/fs"
	"os"
)

// nextOpened returns 0, because this system has no unnamed files, which need
// the numbers.
func nextOpened() uint64 { return 0 }

// syncUnnamed syncs a file.
func syncUnnamed(f *os.File, _ uint64, _ fs.FileInfo) error { return f.Sync() }
