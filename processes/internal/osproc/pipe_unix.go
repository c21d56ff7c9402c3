//go:build unix

package osproc

import (
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// ReadAvailable reads from a pipe of a dead process. It never blocks: if the
// pipe is empty, and another process still has the pipe open, ReadAvailable
// returns ErrEmpty. It removes the read deadline of the pipe.
func ReadAvailable(pipe *os.File, b []byte) (n int, err error) {
	pipe.SetReadDeadline(time.Time{})
	raw, err := pipe.SyscallConn()
	if err != nil {
		return 0, err
	}
	for {
		failure := raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), b)
			return true // even if the read would block
		})
		switch {
		case failure != nil:
			return 0, failure
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, ErrEmpty
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}
