//go:build !unix

package jobs

import (
	"fmt"
	"syscall"
)

// nameOfSignal returns the number of a signal.
func nameOfSignal(s syscall.Signal) string { return fmt.Sprintf("signal %d", int(s)) }
