//go:build !linux

package download

import (
	"errors"
	"os"
	"time"
)

// createUnnamed returns errors.ErrUnsupported, because this system has no
// unnamed files.
func createUnnamed(string) (*os.File, error) { return nil, errors.ErrUnsupported }

// linkUnnamed is never called.
func linkUnnamed(*os.File, string) error { return errors.ErrUnsupported }

// setModifiedUnnamed is never called.
func setModifiedUnnamed(*os.File, time.Time) error { return errors.ErrUnsupported }

// renameNew renames a file, and fails with fs.ErrExist if the new name exists.
func renameNew(from, to string) error { return linkNew(from, to) }
