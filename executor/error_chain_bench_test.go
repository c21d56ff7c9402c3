package executor

import (
	"io/fs"
	"syscall"
	"testing"
)

// BenchmarkEncodeError encodes an error whose chain contains an error with an
// Is method.
func BenchmarkEncodeError(b *testing.B) {
	err := &fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT}
	b.ReportAllocs()
	for b.Loop() {
		EncodeError(err)
	}
}
