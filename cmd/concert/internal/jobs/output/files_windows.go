package output

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
)

// createFile creates a file that Windows removes when it is closed, also if the
// process is killed.
func createFile(dir string) (*os.File, error) {
	const deleteOnClose = 0x04000000
	name := filepath.Join(dir, fmt.Sprintf("concert-%016x", rand.Uint64()))
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE,
		syscall.FILE_SHARE_READ|syscall.FILE_SHARE_WRITE, nil, syscall.CREATE_NEW, syscall.FILE_ATTRIBUTE_NORMAL|deleteOnClose, 0)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: err}
	}
	return os.NewFile(uintptr(h), name), nil
}

// reopen returns an error. On Windows, no jobs are started.
func reopen(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func duplicate(*os.File) (*os.File, error) {
	return nil, fmt.Errorf("capture the output of a command: %w on Windows", errors.ErrUnsupported)
}

// measure returns the size of a file, and whether it must be emptied.
func measure(f *os.File) (size int64, occupied bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, false, err
	}
	return info.Size(), info.Size() > 0, nil
}

func readNow(*os.File, []byte) int { return 0 }

func copyRange(*os.File, int64, *os.File, int64) (copied int64) { return 0 }

func punch(*os.File, int64, int64) {}

func freeSpace(*os.File) int64 { return math.MaxInt64 }

func pipe() (read, write *os.File, err error) { return os.Pipe() }
