package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"concert"
	"concert/internal/printable"
	"concert/processes/internal/child"
)

var (
	// ErrTooLarge is wrapped by the error of a task whose argument has more
	// than 1 GiB, whose result has more bytes than Options.MaxResult, or whose
	// function has a name of more than 65,535.
	ErrTooLarge = child.ErrTooLarge

	// ErrBroken is wrapped by the errors of tasks in a broken pool, together
	// with the reason. A pool is broken if eight times in a row a worker could
	// not be started, or died without having finished a task, no task was the
	// cause, and no worker is left. Such a pool stays broken, and Close returns
	// the same error. Fix the reason and make another pool.
	ErrBroken = errors.New("processes: the pool is broken")

	// ErrTimeout is wrapped by the error of a task that ran for longer than
	// Options.Timeout: that had to be killed, or returned the error of its
	// context. It is also [context.DeadlineExceeded].
	ErrTimeout error = timeoutError{}

	// ErrMemory is wrapped by the error of a task whose worker exceeded
	// Options.Memory, or was killed by the kernel because its control group had
	// no memory left. It is also wrapped if the system has no memory for a
	// result in shared memory.
	ErrMemory = errors.New("processes: out of memory")

	// ErrNeighbor is wrapped by the error of a task whose worker was killed
	// because of another task that it ran; see Options.Threads.
	ErrNeighbor = errors.New("processes: another task in the same process had to be killed")

	// ErrNested is the error of New in a worker that is three pools deep.
	ErrNested = errors.New("processes: pools nested more than three deep")
)

// timeoutError is the type of ErrTimeout.
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
	// ExitCode is the exit code of the process, or -1 if a signal ended it. It
	// is also -1, and Signal is 0, if the system did not report how the process
	// ended, because this program ignores SIGCHLD, or because other code in
	// this program has waited for all child processes.
	ExitCode int
	// Signal is the signal that ended the process, or 0. Go's runtime answers
	// signals such as SIGSEGV in C code, or SIGABRT, with a traceback and exit
	// code 2. Then Signal is the one that the traceback names, if the traceback
	// was written.
	Signal syscall.Signal
	// Stderr is the end of what the process wrote to its standard error: the
	// last 4 KiB or, if Go's runtime said why it ended, up to 64 KiB from there
	// on, which is the traceback. Control characters are escaped, as in \x1b,
	// except tabs and ends of lines.
	Stderr string
	// Running is how many tasks the process ran when it died. It can be more
	// than one if Options.Threads is. If it is, and Err is nil, the cause may
	// be any of these tasks.
	Running int
	// Unbegun is 0 for a task that ran. Otherwise it is the number of workers
	// that died in a row when this task was the next that they would have
	// begun. The task may be the cause, so no other worker gets it.
	Unbegun int
	// Err says why the pool killed the worker: it wraps ErrTimeout, or is the
	// cause of the task's context, ErrNeighbor or a protocol error. It is
	// ErrMemory if the worker ran out of memory. Otherwise it is nil.
	Err error
}

// Error returns the task, how its worker died, and the last line that the
// worker wrote, or the first 1,000 bytes of that line.
func (e *WorkerError) Error() string {
	task := e.Task
	if e.Input != nil {
		task = e.Input.String()
	}
	return fmt.Sprintf("processes: %s: worker %d (pid %d) %s", task, e.Worker, e.Pid, e.how())
}

// unknownExit describes the end of a process that has no ProcessState.
const unknownExit = "its exit code is unknown, since this program ignores SIGCHLD or has waited for it elsewhere"

// how returns how the worker died, and the last line that it wrote. It does not
// name the task and the worker.
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
			b.WriteString(" (if no process sent it, the system had no memory left)")
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
		fmt.Fprintf(&b, " before it began the task, as did %d workers before it", e.Unbegun-1)
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

// Format prints Error for all verbs, and for %+v Stderr after it, with the
// traceback if there is one.
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

// Unwrap returns Err.
func (e *WorkerError) Unwrap() error { return e.Err }

// maxReason is the maximum length of a line in the text of an error.
const maxReason = 1000

// reason returns the most informative line of standard error: the one with
// which the Go runtime ends, or otherwise the last one. It is cut after
// maxReason bytes, because the text of a panic can have any length.
func (e *WorkerError) reason() string {
	lines := strings.Split(strings.TrimSpace(e.Stderr), "\n")
	line := lines[0]
	if !lastWords([]byte(line + "\n")) {
		line = lines[len(lines)-1]
	}
	line = strings.TrimSpace(line)
	if len(line) > maxReason {
		line = strings.ToValidUTF8(line[:maxReason], "") + " ..."
	}
	return line
}

// signals are the signals for which Go's runtime ends the process itself.
var signals = map[string]syscall.Signal{
	"SIGABRT": syscall.SIGABRT, "SIGBUS": syscall.SIGBUS, "SIGFPE": syscall.SIGFPE, "SIGILL": syscall.SIGILL,
	"SIGQUIT": syscall.SIGQUIT, "SIGSEGV": syscall.SIGSEGV, "SIGTRAP": syscall.SIGTRAP,
}

// signalIn returns the signal that Go's runtime names in its traceback, or 0.
// It returns 0 for a panic, even if a signal caused it, as for a nil pointer.
func signalIn(stderr string) syscall.Signal {
	first := true
	for line := range strings.Lines(stderr) {
		if first && (!lastWords([]byte(line)) || strings.HasPrefix(line, "panic: ")) {
			return 0
		}
		first = false
		if name, _, ok := strings.Cut(strings.TrimPrefix(line, "[signal "), ": "); ok && signals[name] != 0 {
			return signals[name]
		}
	}
	return 0
}

// outOfMemory reports whether the Go runtime, or the race detector, ended
// because it could not allocate memory. Each has an exit code of its own.
func outOfMemory(code int, stderr string) bool {
	switch code {
	case 2:
		return strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory")
	case 66:
		return strings.Contains(stderr, "ThreadSanitizer failed to allocate")
	}
	return false
}

// abortedForMemory reports whether a process aborted because it could not
// allocate memory. C, C++ and Go's cgo write this before the abort. The
// runtimes of Go and Python write their own last lines after it.
func abortedForMemory(signal syscall.Signal, cause, stderr string) bool {
	return signal == syscall.SIGABRT && slices.ContainsFunc([]string{
		"out of memory", "cannot allocate memory", "Cannot allocate memory", "pthread_create failed", "std::bad_alloc",
	}, func(text string) bool { return strings.Contains(cause, text) || strings.Contains(stderr, text) })
}

// tookLonger adds within, which is Options.Timeout, to why if why is
// ErrTimeout. why is the reason why a worker was killed.
func tookLonger(why error, within time.Duration) error {
	if why != ErrTimeout {
		return why
	}
	return fmt.Errorf("%w: no result within %v (Options.Timeout)", why, within)
}

// newWorkerError returns the error of a task that the worker's death ended.
func (w *worker) newWorkerError(task string, state *os.ProcessState) *WorkerError {
	e := &WorkerError{Task: task, Worker: w.number, Pid: w.pid, ExitCode: -1, Stderr: w.stderr.String(), Err: tookLonger(w.killCause, w.pool.opts.Timeout)}
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
