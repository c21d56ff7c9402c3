package usage

import (
	"os/exec"
	"time"
)

// Command runs a command, as cmd.Run does, and returns what the command used,
// including its children that it waited for. The error is that of cmd.Run.
//
// The run-queue delay is that of the first thread of the command. The kernel
// initializes the peak memory of a command with the peak memory of the program
// that starts the command. If the command does not use more than that, its peak
// memory is missing.
func Command(cmd *exec.Cmd) (used Usage, err error) {
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return used, err
	}
	used = waitExited(cmd.Process.Pid)
	took := time.Since(begin)
	err = cmd.Wait()
	if used.Wall == 0 {
		took = time.Since(begin) // on this system, waitExited does not wait
	}
	used.Wall = took
	used.addProcess(cmd.ProcessState)
	used.limitRunDelay()
	return used, err
}
