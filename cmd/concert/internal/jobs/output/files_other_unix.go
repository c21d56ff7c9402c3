//go:build unix && !linux

package output

import (
	"errors"
	"math"
	"os"
)

// createFile creates a file without a name.
func createFile(dir string) (*os.File, error) { return createUnlinked(dir) }

// reopen would open a file without a name again, which only Linux can do.
func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// copyRange would copy bytes in the kernel.
func copyRange(*os.File, int64, *os.File, int64) (copied int64) { return 0 }

// punch would free the disk space of a range.
func punch(*os.File, int64, int64) {}

// freeSpace would return the disk space that can still be used.
func freeSpace(*os.File) int64 { return math.MaxInt64 }
