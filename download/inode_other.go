//go:build !unix

package download

import "io/fs"

// oNoFollow is 0, because this system has no such flag.
const oNoFollow = 0

// inode returns 0, because this system has no inode numbers.
func inode(fs.FileInfo) uint64 { return 0 }
