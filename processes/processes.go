// Package processes runs tasks in worker processes. It corresponds to
// multiprocessing and ProcessPoolExecutor in Python, except that when a worker
// dies, one task fails, and not the whole pool.
//
//	func main() {
//		processes.Main() // the guard: a worker does not go past it
//		ex, err := processes.New(4, nil)
//		...
//		defer ex.Close()
//		for img, err := range concert.Map(ctx, ex, thumbnail, slices.Values(photos)) { ... }
//	}
//
//	var thumbnail = concert.Register("thumbnail", makeThumbnail)
//
// # The model
//
//	             queue, first in first out               this program again, n times
//	Submit --> [ task, task, ... ] --feeder--> pipe --> worker: one task after another
//	future <-------- settle <-------receiver-- pipe <-- its results
//	                    ^
//	                    +-- when it dies: what it finished is settled, the task it ran
//	                        fails, what it had not begun goes to another worker
//
// A [Pool] starts this program n more times, and one time in addition, as a
// spare that replaces a worker that dies. Each worker has its own memory and
// its own Go runtime. If one changes a global variable, the other workers and
// the program do not see it. The pool sends names of functions, which therefore
// have to be registered by [concert.Register], and copies of arguments and
// results.
//
// # The rules
//
//   - A worker runs one task at a time, unless Options.Threads is set. A few
//     more tasks wait in it, so that it can begin the next one at once: two if
//     tasks are long, up to 256 if they are quick. They count as pending: they
//     can be canceled, and an idle worker takes them over.
//   - If a task crashes, exits, is killed or uses too much memory, it fails
//     with a [*WorkerError], which says how. No other task is affected.
//   - If the context of a task ends, or the task runs for longer than
//     Options.Timeout, the context of its function ends. If the function does
//     not return within Options.Grace, its process is killed, with all
//     processes that it has started.
//   - A task never runs twice, unless Options.Retry allows it. If five workers
//     in a row die before they can begin a task, the task fails with a
//     [*WorkerError].
//   - If a worker begins none of its tasks for a second, other workers get
//     them. If this continues, the worker is killed; see Options.Timeout.
//   - A worker that ends is replaced: at once if it did some work, and
//     otherwise after a pause. The pauses double from 20 milliseconds to a
//     second, or to 160 milliseconds if the worker died in a task. If eight
//     workers in a row die, no task explains it, and no worker is left, the
//     pool is broken: its tasks fail with [ErrBroken] and the reason. Each
//     death is logged.
//   - Options.Sandbox confines workers, for tasks that process untrusted input.
//   - Workers end when the pool is closed, and when this process dies, in
//     whatever way.
//
// # The corners
//
// A worker has no standard input. The pool collects the lines that it prints,
// see Options.Output. A task cannot submit to the pool that runs it, because
// the pool is in another process. It can make pools of its own, up to three
// deep.
//
// An argument or a result of more than 16 KiB is passed in memory that the pool
// shares with the worker. This memory is released when the worker has been idle
// for a second. Options.Memory does not count it. A worker of this program that
// has been idle for five seconds collects garbage, and returns the memory that
// it does not need to the system. A program of Options.Command decides this
// itself.
//
// Everything described here exists on Linux. Other systems have no sealed
// shared memory. There, results are written one by one, large values go through
// pipes, fewer tasks wait in a worker, and Cancel reports such a task as
// running. A worker notices the death of this process by the end of a pipe, and
// a stopped worker does not notice it. On Windows, processes that a task has
// started outlive the worker.
package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/internal/option"
	"concert/processes/internal/child"
	"concert/processes/internal/confine"
	"concert/processes/internal/osproc"
)

// Options tunes a Pool. The zero value, and nil, are ready to use.
type Options struct {
	// Queue is the maximum number of tasks that wait in the pool. Submit blocks
	// while there are so many. Zero means 1024.
	Queue int

	// Init, if set, is run by each worker before its first task, to load into
	// variables of the worker what all tasks need; see Initialize. A worker
	// whose Init fails takes no tasks. If this happens in New, New fails. If it
	// happens repeatedly later, the pool is broken, see [ErrBroken].
	Init *Initializer

	// Timeout is the maximum time that a task may run, from its start. Zero
	// means no limit.
	//
	// A task that has not begun is limited by its context only. If the worker
	// in which it waits cannot begin it, for example because the process is
	// stopped, other workers get the task after a second. Such a worker is
	// killed after 5 seconds if it is stopped, and otherwise after 10 seconds;
	// docs/faults.md says which time counts.
	Timeout time.Duration

	// Grace is how long a task may continue after its context has ended, by a
	// Cancel, a deadline, the Timeout or Shutdown. Then its process is killed.
	// Zero means 5 seconds, and negative means no time.
	Grace time.Duration

	// StartTimeout is the maximum time from the start of a worker, Init
	// included, until it is ready. Zero means 30 seconds.
	StartTimeout time.Duration

	// MaxTasks is the number of tasks after which a worker is replaced by a
	// fresh one, for tasks that leak. Zero means never.
	MaxTasks int

	// MaxResident is the memory, in bytes, above which a worker is replaced by
	// a fresh one, after it has finished its tasks. The pool measures it while
	// tasks end; all measurements within a second must be above MaxResident. It
	// is the private resident memory of the worker, including free memory of
	// the Go runtime that has not been returned to the system. Zero means no
	// limit. It exists on Linux only; elsewhere New fails.
	MaxResident int64

	// Memory is the maximum memory of each worker, in bytes: what the worker
	// and its Go runtime have mapped for writing, which grows in steps of 64
	// MiB. A task that needs more dies with its worker, and its error wraps
	// [ErrMemory]. The pool sets GOMEMLIMIT, so the runtime collects garbage
	// more often near the limit. Zero means no limit; the minimum is 192 MiB.
	// It exists on Linux only; elsewhere New fails.
	//
	// The system does not count shared memory (shared with the pool, mapped by
	// MAP_SHARED, or a file in memory), the stack of the first thread, and what
	// the kernel keeps for a process. A process that the worker forks or starts
	// has a limit of its own, of the same size. A Sandbox denies the worker
	// shared memory, larger stacks and forks; docs/security.md lists what is
	// not limited even then.
	Memory int64

	// MaxResult is the maximum size of the result of a task, in bytes of its
	// encoding (for a []byte or a string, its length). So it also limits the
	// memory that a worker can make this process allocate. A task with a larger
	// result fails with [ErrTooLarge], and this process stores nothing of the
	// result. An error may have as many bytes as a result, but at least 1 MiB;
	// of a longer error, only the beginning of the text arrives. Zero means 1
	// GiB, which is also the maximum; with a Sandbox, zero means 16 MiB.
	MaxResult int64

	// Sandbox, if set, confines each worker: it can write files in the given
	// directories only, and cannot use the network or start programs. If the
	// system does not support this, New fails.
	Sandbox *Sandbox

	// Retry, if set, reports whether a task whose worker has died runs again,
	// on another worker. Such a task must tolerate a second run. The arguments
	// are the error that the task would have, and the number of times that it
	// has run, from 1 up. Retry is not called for a task that never began, see
	// WorkerError.Unbegun. After the fifth death, the task fails in any case.
	// Retry is called from many goroutines, and must not wait for a task. It
	// must return within Timeout, and within Grace after the task's context has
	// ended. If it does not, or if it panics, the task does not run again, and
	// its error is err, joined with the [*concert.PanicError] or with an error
	// that says that Retry did not return.
	Retry func(err *WorkerError, ran int) bool

	// Command, if set, is a program and its arguments that the pool starts as
	// workers instead of this program. It must use the protocol of
	// docs/wire.md, and must know the submitted functions by their names. Such
	// a pool needs no Main. The program does not learn the value of Memory, and
	// Sandbox cannot be set.
	Command []string

	// Check, if set, is called with the argument of each [executor.Relay],
	// which another process may have encoded, before a worker receives it. An
	// error is the task's error, and no worker receives the argument. Check may
	// be called from several goroutines. While it runs, the task counts as
	// queued. If it does not return within Timeout, or before the task's
	// context ends, the task fails.
	Check func(arg executor.Encoded) error

	// Threads is how many tasks each worker runs concurrently. It can be set
	// only with Command; the program receives it, see docs/wire.md. The tasks
	// share a process: if it dies, all of them fail. If it was killed because
	// of one of them, the others fail with [ErrNeighbor]. Zero means 1.
	Threads int

	// Env is the environment of the workers, as in os/exec; nil means this
	// process's. Dir is their working directory; empty means this process's.
	//
	// All workers start with the settings that this process had when New was
	// called: Env and Dir, the program of Command, GOMAXPROCS and, on Linux,
	// the file mode mask, the resource limits, the processors
	// (sched_setaffinity), the priority (nice) and the score for the
	// out-of-memory killer (oom_score_adj). Later changes in this process do
	// not count. But not every process may raise a hard limit or its priority
	// again: without CAP_SYS_RESOURCE and CAP_SYS_NICE, workers have the lower
	// values. The resource limits and the score are set as soon as the worker
	// runs, so the initialization of its packages can see those that this
	// process has now. Settings of prctl (such as transparent huge pages or
	// no_new_privs), the control group and the namespaces are those that this
	// process has when the worker starts.
	Env []string
	Dir string

	// Output, if set, receives each line that workers print, with the
	// attributes worker, pid, stream and, if a task ran, task. Each state of a
	// progress bar, which begins or ends with "\r", is a line as well. Nil
	// writes the lines to this process's standard error; if that is a terminal,
	// it omits the traceback of a process that dies, which is in
	// WorkerError.Stderr. Control characters are escaped, as in \x1b, so a
	// worker cannot control the terminal.
	//
	// The pool also logs to Output: the death of a worker as a warning, with
	// the attributes worker, pid, task, input and label (see [concert.Input]),
	// reason, deaths (how many workers in a row died before they finished a
	// task, or 0 if this one did some work) and pause (before the next start);
	// and that the pool is broken, as an error. The death of a worker that was
	// killed because of a Cancel, a deadline, Timeout or Shutdown is logged at
	// debug level. Nil logs to slog.Default().
	//
	// A handler that panics loses the line, and nothing else; the first panic
	// is written to standard error. A slow handler slows the tasks that print.
	// If a call of the handler takes longer than a second, the pool no longer
	// waits for it: it drops lines and log records until the call returns, and
	// then logs how many it dropped, as a warning with the attribute dropped.
	// Close and Shutdown wait until the records of deaths are handled, for a
	// second at most.
	Output *slog.Logger

	// Observer, if set, is called for each step of each task.
	Observer concert.Observer
}

// Initializer is a function that each worker runs before its first task; see
// Options.Init.
type Initializer struct {
	name string
	arg  executor.Encoded
	err  error
}

// Initialize returns an Initializer that calls fn, a registered function, with
// arg in each worker. The result of fn is not used: fn stores what it makes in
// variables.
func Initialize[In, Out any](fn func(context.Context, In) (Out, error), arg In) *Initializer {
	var i Initializer
	i.name, i.arg, i.err = executor.Prepare(fn, arg)
	i.arg.Bytes = bytes.Clone(i.arg.Bytes) // which may be the caller's
	return &i
}

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

// Error says what happened.
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

const (
	defaultQueue         = 1024
	defaultGrace         = 5 * time.Second
	defaultStartTimeout  = 30 * time.Second
	defaultSandboxResult = 16 << 20 // Options.MaxResult with a Sandbox

	maxDepth      = 3
	maxThreads    = 1000      // of Options.Threads
	maxWorkers    = 1 << 16   // of a pool
	minMemory     = 192 << 20 // of Options.Memory
	maxCallDeaths = 5         // under one task
)

// check panics if a number that cannot be negative is.
func (o *Options) check(n int) {
	const call = "processes: New"
	option.NotNegative(call, "n", n)
	option.NotNegative(call, "Options.Queue", o.Queue)
	option.NotNegative(call, "Options.Timeout", o.Timeout)
	option.NotNegative(call, "Options.StartTimeout", o.StartTimeout)
	option.NotNegative(call, "Options.MaxTasks", o.MaxTasks)
	option.NotNegative(call, "Options.MaxResident", o.MaxResident)
	option.NotNegative(call, "Options.Memory", o.Memory)
	option.NotNegative(call, "Options.MaxResult", o.MaxResult)
	option.NotNegative(call, "Options.Threads", o.Threads)
}

// New starts n workers, waits until they are ready, and returns their pool. If
// n is 0, it starts GOMAXPROCS workers, because processes are meant for
// CPU-bound tasks. The error says why workers could not be started or prepared;
// then none are left. It is [ErrNoMain] in a program that does not call [Main].
//
// New panics if n is negative, or a number in the options other than Grace; the
// text names it. Close the pool when it is no longer needed.
func New(n int, opts *Options) (*Pool, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.check(n)
	if o.Command == nil && !mainCalled.Load() {
		return nil, ErrNoMain
	}
	if o.Command != nil && (len(o.Command) == 0 || o.Command[0] == "") {
		return nil, errors.New("processes: Options.Command names no program")
	}
	if o.Command != nil && o.Sandbox != nil {
		return nil, fmt.Errorf("processes: Options.Sandbox: workers of another program cannot be confined: %w", errors.ErrUnsupported)
	}
	if o.Command == nil && o.Threads > 1 {
		return nil, fmt.Errorf("processes: Options.Threads: workers of this program run one task at a time, which may use goroutines: %w", errors.ErrUnsupported)
	}
	if o.Threads > maxThreads {
		return nil, fmt.Errorf("processes: Options.Threads is %d, more than %d", o.Threads, maxThreads)
	}
	if o.MaxResult > frame.MaxPayload {
		return nil, fmt.Errorf("processes: Options.MaxResult is %d bytes, more than %d", o.MaxResult, frame.MaxPayload)
	}
	if n > maxWorkers {
		return nil, fmt.Errorf("processes: New: n is %d; at most %d workers are allowed", n, maxWorkers)
	}
	if child.Depth() >= maxDepth {
		return nil, ErrNested
	}
	if o.MaxResident > 0 && !osproc.CanLimitMemory {
		return nil, fmt.Errorf("processes: Options.MaxResident: this system does not report how much memory a process has: %w", errors.ErrUnsupported)
	}
	if o.Memory > 0 {
		if !osproc.CanLimitMemory {
			return nil, fmt.Errorf("processes: Options.Memory: this system cannot limit the memory of a process: %w", errors.ErrUnsupported)
		}
		if o.Memory < minMemory {
			return nil, fmt.Errorf("processes: Options.Memory is %d bytes; a worker needs at least %d", o.Memory, minMemory)
		}
	}
	if o.Init != nil && o.Init.err != nil {
		return nil, fmt.Errorf("processes: initializer: %w", o.Init.err)
	}
	if i := o.Init; i != nil && len(i.arg.Bytes) > frame.MaxPayload {
		return nil, fmt.Errorf("processes: initializer: %w: the argument of %s has %d bytes, more than %d", ErrTooLarge, i.name, len(i.arg.Bytes), frame.MaxPayload)
	}
	var c *confine.Sandbox
	if o.Sandbox != nil {
		var err error
		if c, err = o.Sandbox.open(o.Memory > 0); err != nil {
			return nil, err
		}
	}
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	if o.Queue == 0 {
		o.Queue = defaultQueue
	}
	if o.Threads == 0 {
		o.Threads = 1
	}
	switch {
	case o.MaxResult > 0:
	case o.Sandbox != nil:
		o.MaxResult = defaultSandboxResult
	default:
		o.MaxResult = frame.MaxPayload
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.StartTimeout == 0 {
		o.StartTimeout = defaultStartTimeout
	}
	o.Output = guardedLogger(o.Output, "the handler of Options.Output")
	p := newPool(n, o, c)
	if o.Init != nil {
		if err := p.checkFunction(o.Init.name); err != nil {
			c.Close()
			return nil, fmt.Errorf("processes: initializer: %w", err)
		}
	}
	var err error
	if p.template, err = o.newTemplate(n); err != nil {
		c.Close()
		return nil, err
	}
	go func() { // workers start until then
		<-p.gone
		c.Close()
		p.template.dir.Close()
	}()
	if err := p.startWorkers(); err != nil {
		return nil, err
	}
	return p, nil
}
