//go:build unix

package resume

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// syncDir makes the name of a new file in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err == nil {
		err = d.Sync()
		d.Close()
	}
	// Some file systems cannot sync a directory. A directory that may not be
	// read cannot be opened.
	if err == nil || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return fmt.Errorf("sync the directory %s: %w", dir, withoutPath(err))
}
