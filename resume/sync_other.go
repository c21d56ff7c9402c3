//go:build !linux

package resume

import "os"

// syncData makes the content of the file durable.
func syncData(f *os.File) error { return f.Sync() }
