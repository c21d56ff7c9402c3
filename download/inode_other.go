//go:build !unix

package download

import "io/fs"

// oNoFollow is 0, because this system has no such flag.
const oNoFollow = 0

// isOwn returns true, because this system has no simple owners of files.
func isOwn(fs.FileInfo) bool { return true }

// inode returns 0, because this system has no inode numbers.
func inode(fs.FileInfo) uint64 { return 0 }
