//go:build unix

package python

import (
	"os/exec"
	"syscall"
)

// killGroup arranges that the end of the command's context also kills the
// processes that the command has started. The interpreter may be a script that
// starts another one.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
