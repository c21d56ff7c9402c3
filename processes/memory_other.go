//go:build !linux

package processes

import (
	"errors"
	"os"
)

// Without sealing, shared memory would let a worker kill its pool: there is
// none.
func newShared(string, int) ([]byte, *os.File, error) { return nil, nil, errors.ErrUnsupported }

func mapShared(*os.File) ([]byte, error) { return nil, errors.ErrUnsupported }

func populate([]byte) bool { return false }

func trimShared([]byte) {}

func unmapShared([]byte) {}
