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
