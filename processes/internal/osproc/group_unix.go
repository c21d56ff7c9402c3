//go:build unix

package osproc

import (
	"errors"
	"os"
	"syscall"
)

// KillGroup kills a process and its process group. It returns nil if the
// process is dead already.
func KillGroup(p *os.Process) error {
	p.Kill() // the process may have left its group
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil // EPERM: only zombies are left
	}
	return err
}
