//go:build unix

package python

import (
	"os/exec"
	"syscall"
)

// ownGroup makes a command run in its own process group. When the context of
// the command ends, the whole group is killed, because the interpreter may
// be a script that starts another process.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
