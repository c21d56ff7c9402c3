//go:build unix

package choose

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a command run in a process group of its own, which gets
// SIGTERM when the context of the command ends.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// killGroup kills the remaining processes in the group of a command that has
// ended.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually fails, because no process remains
	}
}
