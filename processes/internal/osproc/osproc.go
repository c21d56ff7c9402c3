// Package osproc starts, inspects and kills processes, and sets their limits.
// It contains the code of package processes that depends on the operating
// system, except shared memory and the sandbox.
//
// [Settings] are those settings of this process that its workers get: the
// file mode mask, resource limits, processors and priorities.
// [Settings.Start] starts a process with these settings, in a new process
// group. [KillGroup] kills that group. [AwaitExit] waits for the end of the
// process without reaping it, so that its pid stays valid. [PassFiles] and
// [OpenPassed] pass open files to a new process.
//
// If the system does not support a function, the function does nothing,
// returns false, or returns an error.
package osproc

import (
	"errors"
	"time"
)

// ErrEmpty is the error of ReadAvailable if the pipe is empty and another
// process has it open.
var ErrEmpty = errors.New("the pipe is empty")

// ThreadTime is the state of a thread and the times that it has used.
type ThreadTime struct {
	State  byte          // as in /proc/PID/stat
	Ran    time.Duration // on a processor
	Waited time.Duration // not running, because no processor was free
}

// Stopped reports whether the thread is stopped, by a signal or a tracer.
func (t ThreadTime) Stopped() bool { return t.State == 'T' || t.State == 't' }
