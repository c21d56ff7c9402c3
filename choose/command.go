package choose

import (
	"os/exec"
	"time"
)

// Command runs a command, as cmd.Run does, and says what it used, its children
// that it waited for included. It is for Options.Profile, when the work is to
// run a program.
//
// The run-queue delay is that of the command's first thread alone. The kernel
// counts as its peak memory that of the program which started it, too: below
// that it is missing.
func Command(cmd *exec.Cmd) (used Usage, err error) {
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return used, err
	}
	used = exited(cmd.Process.Pid)
	ended := time.Since(begin)
	err = cmd.Wait()
	if used.Wall == 0 {
		ended = time.Since(begin) // exited could not wait for it
	}
	used.Wall = ended
	used.rusage(cmd.ProcessState)
	return used, err
}
