package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"concert"
	"concert/internal/printable"
	"concert/processes/internal/child"
)

var (
	// ErrBroken is wrapped by the errors of tasks in a broken pool, together
	// with the reason. A pool breaks when no worker is left after eight
	// failures in a row. There are two kinds of failures: a worker cannot be
	// started, or a worker dies outside of tasks before it has finished a
	// task. A broken pool stays broken, and Close returns the same error.
	// Fix the reason and make another pool.
	ErrBroken = errors.New("processes: the pool is broken")

	// ErrTimeout is wrapped by the error of a task that exceeded
	// Options.Timeout, if the task returned the error of its context or the
	// pool killed its worker. errors.Is reports that ErrTimeout is
	// [context.DeadlineExceeded].
	ErrTimeout error = timeoutError{}

	// ErrTooLarge is wrapped by the error of a task whose argument has more
	// than 1 GiB, whose result has more bytes than Options.MaxResult, or whose
	// function has a name of more than 65,535 bytes.
	ErrTooLarge = child.ErrTooLarge

	// ErrMemory is wrapped by the error of a task if its worker exceeded
	// Options.Memory, if the kernel killed the worker because its control group
	// had no memory left, or if the system had no memory for a result in shared
	// memory.
	ErrMemory = errors.New("processes: out of memory")

	// ErrNeighbor is wrapped by the error of a task if the pool killed its
	// worker because of another task in the same process; see Options.Threads.
	ErrNeighbor = errors.New("processes: another task in the same process had to be killed")

	// ErrNested is the error of New in a worker of the third level. The workers
	// of a pool in the main program are the first level, the workers of a pool
	// in such a worker are the second level, and so on.
	ErrNested = errors.New("processes: pools are nested more than three levels deep")
)

type timeoutError struct{}

// Error returns the text of ErrTimeout.
func (timeoutError) Error() string { return "processes: task ran for too long" }

// Is reports whether target is context.DeadlineExceeded.
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// Timeout returns true, as for errors of package net.
func (timeoutError) Timeout() bool { return true }

func init() {
	concert.RegisterError("processes.ErrTooLarge", ErrTooLarge)
	concert.RegisterError("processes.ErrBroken", ErrBroken)
	concert.RegisterError("processes.ErrTimeout", ErrTimeout)
	concert.RegisterError("processes.ErrMemory", ErrMemory)
	concert.RegisterError("processes.ErrNeighbor", ErrNeighbor)
	concert.RegisterError("processes.ErrNested", ErrNested)
	concert.RegisterError("processes.ErrNoMain", ErrNoMain)
	concert.RegisterError("exec.ErrNotFound", exec.ErrNotFound)
	concert.RegisterError("exec.ErrDot", exec.ErrDot)
	concert.RegisterError("exec.ErrWaitDelay", exec.ErrWaitDelay)
}

// WorkerError is the error of a task whose worker process died while the task
// ran, or whose workers died before they could begin it.
type WorkerError struct {
	// Task is the name of the task's function.
	Task string
	// Input has the index of the input in its Map, and the label of the task.
	// It is nil for a task of Submit without a label.
	Input *concert.Input
	// Worker is the number of the worker in its pool, and Pid is the id of its
	// process.
	Worker, Pid int
	// ExitCode is the exit code of the process, or -1 if a signal ended the
	// process. If ExitCode is -1 and Signal is 0, the system did not report how
	// the process ended: this program ignores SIGCHLD, or another part of this
	// program has waited for all child processes.
	ExitCode int
	// Signal is the signal that ended the process, or 0. Go's runtime handles
	// signals such as SIGABRT, or SIGSEGV in C code: it writes a traceback and
	// exits with code 2. In this case, Signal is the signal that the traceback
	// names.
	Signal syscall.Signal
	// Stderr is the end of the standard error of the process: the last 4 KiB,
	// or the crash report of the Go or Python runtime, up to 64 KiB. Control
	// characters are escaped, as in \x1b, except tabs and ends of lines.
	Stderr string
	// Running is the number of tasks that the process ran when it died. It is
	// at most Options.Threads. If it is more than one and Err is nil, any of
	// these tasks may have caused the death.
	Running int
	// Unbegun is 0 for a task that ran. Otherwise this task was the next one
	// of several workers in a row, and each of them died before it began the
	// task. Unbegun is the number of these workers. The task may be the
	// cause of the deaths, so the pool gives it to no other worker.
	Unbegun int
	// Err is the reason why the pool killed the worker. It is ErrNeighbor,
	// the cause of the task's context, an error about a violated protocol,
	// or an error that wraps ErrTimeout. If the worker ran out of memory,
	// Err is ErrMemory. In all other cases, Err is nil.
	Err error

	killed bool // the pool killed the worker because of this task
}

// Error returns the name of the task, how its worker died, and a line of
// Stderr: the first line of a crash report, or otherwise the last line. It cuts
// the line after 1,000 bytes.
func (e *WorkerError) Error() string {
	task := e.Task
	if e.Input != nil {
		task = e.Input.String()
	}
	return fmt.Sprintf("processes: %s: worker %d (pid %d) %s", task, e.Worker, e.Pid, e.how())
}

// unknownExit describes how a process without a ProcessState ended.
const unknownExit = "its exit code is unknown, because this program ignores SIGCHLD, or another part of this program has waited for the process"

// how returns the part of the error's text that describes the death of the
// worker.
func (e *WorkerError) how() string {
	var b strings.Builder
	switch {
	case e.Err == ErrMemory:
		b.WriteString("died: out of memory")
		return b.String()
	case e.Err != nil:
		fmt.Fprintf(&b, "was killed: %v", e.Err)
	case e.Signal != 0:
		fmt.Fprintf(&b, "died of a signal: %v", e.Signal)
		if e.Signal == syscall.SIGKILL {
			b.WriteString(" (if no process sent the signal, the system had no memory left)")
		}
	case e.ExitCode < 0:
		b.WriteString("ended: " + unknownExit)
	default:
		fmt.Fprintf(&b, "exited with code %d", e.ExitCode)
	}
	if e.Running > 1 && e.Err == nil {
		fmt.Fprintf(&b, " while it ran %d tasks", e.Running)
	}
	if e.Unbegun > 0 {
		fmt.Fprintf(&b, " before it began the task, like %d earlier workers", e.Unbegun-1)
	}
	if e.Err == nil && e.Signal != 0 && e.Signal != syscall.SIGKILL {
		if crash := pythonCrash(e.Stderr); crash != "" {
			return b.String() + " " + printable.Text(crash)
		}
	}
	if line := printable.Text(e.reason()); line != "" && (e.Signal == 0 || !strings.HasPrefix(line, "SIG")) {
		fmt.Fprintf(&b, ": %s", line)
	}
	return b.String()
}

// Format prints Error. For %+v, it also prints Stderr, which may be a
// traceback.
func (e *WorkerError) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'q':
		fmt.Fprintf(f, "%q", e.Error())
	case verb == 'v' && f.Flag('+') && e.Stderr != "":
		fmt.Fprintf(f, "%s\n%s", e.Error(), strings.TrimSuffix(e.Stderr, "\n"))
	default:
		io.WriteString(f, e.Error())
	}
}

// TaskInput returns e.Input, for [concert.InputOf].
func (e *WorkerError) TaskInput() *concert.Input { return e.Input }

// WorkerDied reports whether the task counts in Failures.WorkerDeaths of the
// pool. It is false if the pool killed the worker because of the context or the
// timeout of this task.
func (e *WorkerError) WorkerDied() bool { return !e.killed }

// Unwrap returns Err.
func (e *WorkerError) Unwrap() error { return e.Err }

// maxReason is the maximum length of a line in the text of an error.
const maxReason = 1000

// reason returns the most informative line of Stderr: the first line of a crash
// report, such as the text of a panic, or otherwise the last line. It cuts the
// line after maxReason bytes.
func (e *WorkerError) reason() string {
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	line := lines[0]
	if !beginsCrashReport([]byte(line + "\n")) {
		line = lines[len(lines)-1]
	}
	line = strings.TrimSpace(line)
	if len(line) > maxReason {
		line = strings.ToValidUTF8(line[:maxReason], "") + " ..."
	}
	return line
}

// withTimeout returns the kill cause why. If why is ErrTimeout, withTimeout
// adds the value of Options.Timeout, the parameter within, to its text.
func withTimeout(why error, within time.Duration) error {
	if why != ErrTimeout {
		return why
	}
	return fmt.Errorf("%w: no result within %v (Options.Timeout)", why, within)
}

// newWorkerError returns the error of a task whose worker has died.
func (w *worker) newWorkerError(task string, state *os.ProcessState) *WorkerError {
	e := &WorkerError{Task: task, Worker: w.number, Pid: w.pid, ExitCode: -1, Stderr: w.stderr.String(), Err: withTimeout(w.killCause, w.pool.opts.Timeout)}
	if state != nil {
		e.ExitCode = state.ExitCode()
		if e.Err == nil && outOfMemory(e.ExitCode, e.Stderr) {
			e.Err = ErrMemory
		}
		if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			e.Signal = s.Signal()
			if e.Err == nil && (w.oomKilled || w.pool.opts.Memory > 0 && abortedForMemory(e.Signal, w.stderr.cause(), e.Stderr)) {
				e.Err = ErrMemory
			}
		}
		if e.ExitCode == 2 {
			e.Signal = signalIn(e.Stderr)
		}
	} else {
		e.Signal = signalIn(e.Stderr)
	}
	return e
}
