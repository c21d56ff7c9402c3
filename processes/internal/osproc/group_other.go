//go:build unix && !linux

package osproc

import (
	"os/exec"
	"syscall"
)

// setGroup gives a process its own process group. So KillGroup can kill the
// process together with all processes that it has started, and Ctrl-C does
// not send a signal to the process.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
