//go:build unix && !linux

package processes

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// setAttributes makes a process its own group, so that it can be killed with
// all that it started and Ctrl-C does not reach it.
func setAttributes(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// killGroup kills a worker and what it started. That the worker is dead
// already is no error.
func killGroup(p *os.Process) error {
	p.Kill() // it may have left its group
	err := syscall.Kill(-p.Pid, syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.EPERM) {
		return nil // EPERM: only zombies are left
	}
	return err
}
