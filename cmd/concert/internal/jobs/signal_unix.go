//go:build unix

package jobs

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// nameOfSignal returns the name of a signal, such as SIGKILL.
func nameOfSignal(s syscall.Signal) string {
	if name := unix.SignalName(s); name != "" {
		return name
	}
	return fmt.Sprintf("signal %d", int(s))
}
