//go:build unix && !linux

package osproc

import (
	"os/exec"
	"syscall"
)

// setGroup gives a process a process group of its own. So KillGroup can kill
// the process together with all processes that it has started, and Ctrl-C sends
// no signal to it.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
