//go:build unix && !linux

package output

import (
	"errors"
	"math"
	"os"
)

// createFile creates a file without a name.
func createFile(dir string) (*os.File, error) { return createUnlinked(dir) }

// reopen returns an error, because only Linux can open a file without a name
// again.
func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// copyRange returns 0, because this system has no such call.
func copyRange(*os.File, int64, *os.File, int64) (copied int64) { return 0 }

// punch does nothing, because this system has no such call.
func punch(*os.File, int64, int64) {}

// freeSpace returns a large number, because the free space is not known.
func freeSpace(*os.File) int64 { return math.MaxInt64 }
