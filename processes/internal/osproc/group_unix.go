//go:build unix

package osproc

import (
	"errors"
	"os"
	"syscall"
)

// KillGroup kills a process and its process group. If the process is dead
// already, that is no error.
func KillGroup(p *os.Process) error {
	p.Kill() // it may have left its group
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil // EPERM: only zombies are left
	}
	return err
}
