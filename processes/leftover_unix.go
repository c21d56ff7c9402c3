//go:build unix

package processes

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// readLeftover reads what is in a pipe of a dead worker. It never blocks: if
// the pipe is empty and another process has it open, the error is errEmpty. It
// removes the pipe's deadline.
func readLeftover(pipe *os.File, b []byte) (n int, err error) {
	pipe.SetReadDeadline(time.Time{})
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	for {
		failure := raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), b)
			return true // also if it would block
		})
		switch {
		case failure != nil:
			return 0, failure
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, errEmpty
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
