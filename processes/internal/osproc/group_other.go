//go:build unix && !linux

package osproc

import (
	"os/exec"
	"syscall"
)

// setGroup makes a process the first of a process group, so that it can be
// killed with all processes that it has started, and so that Ctrl-C does not
// reach it.
func setGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
