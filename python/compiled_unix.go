//go:build unix

package python

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a command run in a process group of its own, which is killed
// when the context of the command ends. The interpreter may be a script that
// starts another one.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
