package usage

import (
	"os/exec"
	"runtime"
	"time"
)

// Command runs a command, as cmd.Run does, and returns what the command used,
// including the children for which the command waited. The error is the error
// of cmd.Run.
//
// The run-queue delay is read every 1 to 10 ms while the command runs, from
// all threads of the command and of its children. So if a child runs only
// for a few milliseconds, a part of its delay is missing. The kernel
// initializes the peak memory of a command with the peak memory of the
// program that starts the command. If the command does not use more memory
// than this peak, its own peak memory is missing.
func Command(cmd *exec.Cmd) (used Usage, err error) {
	runtime.LockOSThread() // because threadDelay is about this thread
	defer runtime.UnlockOSThread()
	before := threadDelay()
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return used, err
	}
	used, least := waitExited(cmd.Process.Pid, begin, before)
	watched := used.CPU
	err = cmd.Wait()
	if used.Wall == 0 {
		used.Wall = time.Since(begin) // on this system, waitExited does not wait
	}
	used.addProcess(cmd.ProcessState)
	used.limitRunDelay(least + used.CPU - watched)
	return used, err
}
