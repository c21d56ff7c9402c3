//go:build unix && !linux

package osproc

import (
	"os/exec"
	"syscall"
)

// setGroup gives a process a process group of its own. Then KillGroup can kill
// it with all processes that it has started, and Ctrl-C does not reach it.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
