//go:build unix

package choose

import (
	"os/exec"
	"syscall"
	"time"
)

// cancelTime is the maximum time for which the function kill waits until the
// command has received the first signal. After this time, the command has
// probably not started.
const cancelTime = 100 * time.Millisecond

// ownGroup makes a command run in its own process group. The group gets
// SIGTERM when the context of the command ends. The result kill is a
// function that sends SIGKILL to the group after that. Another goroutine may
// call it while the command starts, so it does not read cmd.Process.
func ownGroup(cmd *exec.Cmd) (kill func()) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	canceled := make(chan int, 1)
	cmd.Cancel = func() error {
		canceled <- cmd.Process.Pid
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
	}
	return func() {
		select {
		case group := <-canceled:
			_ = syscall.Kill(-group, syscall.SIGKILL) // fails if no process remains
		case <-time.After(cancelTime): // the command has not started
		}
	}
}

// killGroup kills the remaining processes in the group of a command that has
// ended.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually fails, because no process remains
	}
}
