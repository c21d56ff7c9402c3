// Package processes runs tasks in worker processes: what multiprocessing and
// ProcessPoolExecutor are in Python, except that a worker which dies costs one
// task and not the pool.
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
// A [Pool] starts this program n times more, and keeps another one ready to take
// the place of one that dies. Each worker has its own memory and its own Go
// runtime: a global variable changed in one is unseen by the others and by the
// pool. What crosses are names of functions, which therefore have to be
// registered with [concert.Register], and copies of arguments and results.
//
// # The rules
//
//   - A worker runs one task at a time, but see Options.Threads. A few more wait in it, so that it need not
//     wait for them: two when tasks are long, up to 256 when they are quick. Those
//     count as pending: they can be cancelled, and go to another worker when
//     one has nothing to do.
//   - A task that crashes, exits, is killed or uses up its memory fails with a
//     [*WorkerError], which says how. No other task notices.
//   - A task whose context ends, or that ran for longer than Options.Timeout, is
//     told so by its context. If it has not returned after Options.Grace, its
//     process is killed, with all that it started.
//   - A task is never run twice, unless Options.Retry says that it may be. A task that five workers
//     in a row did not live to begin is not given to a sixth: it fails with a [*WorkerError].
//   - A worker that begins none of its tasks for a second loses them to other workers, and is killed if
//     that lasts; see Options.Timeout.
//   - Whatever ends a worker, another one is started: at once if the first did some work, and
//     else after a pause that doubles from 20 milliseconds to a second, or to 160 milliseconds if
//     the worker died in a task. After eight deaths in a row that no task explains the pool is
//     broken if it has no worker left: its tasks fail with [ErrBroken] and the reason. Each
//     death is logged.
//   - Options.Sandbox confines workers, for tasks that parse what may be hostile.
//   - Workers end when the pool is closed, and when this process dies in
//     whatever way.
//
// # The corners
//
// A task runs in a process without standard input; what it prints comes out line
// by line, see Options.Output. A task cannot submit to the pool that runs it, as the
// pool is in another process; it can have pools of its own, three deep.
//
// An argument or a result of more than 16 KiB goes through memory that is shared with
// the worker; so much of it as was needed is kept until the worker has had nothing
// to do for a second. Options.Memory does not count it. A worker of this program that has had
// nothing to do for five seconds collects its garbage and returns all memory that it does
// not need; one of another program does what that does.
//
// Linux has everything described here. On other systems there is no memory that is
// shared and sealed: results are written one by one, large values through pipes,
// fewer tasks wait in a worker, and Cancel of one that does says that it runs. The
// death of this process is noticed by the end of a pipe, which a worker that is stopped does
// not. On Windows what a task has started outlives it.
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
	"concert/internal/frame"
	"concert/internal/option"
)

// Options tunes a Pool. The zero value, and nil, are ready to use.
type Options struct {
	// Queue bounds the tasks that wait in the pool; Submit blocks while so many
	// do. Zero means 1024.
	Queue int

	// Init, if set, is run by each worker before its first task, to load what
	// all tasks need into variables of the worker; see Initialize. A worker that
	// cannot be prepared takes no tasks. When that happens at New, New fails; when
	// it happens again and again later, the pool is broken, see [ErrBroken].
	Init *Initializer

	// Timeout bounds the time that a task may run, from its start. Zero means
	// no bound.
	//
	// A task that has not begun is bounded by its context. If the worker that it
	// waits in cannot begin it, since the process is stopped, for example, other
	// workers get the task after a second. Such a worker is killed after 5 seconds if
	// it is stopped, and else after 10 seconds; docs/faults.md says which time counts.
	Timeout time.Duration

	// Grace is how long a task may go on after its context has ended, by a
	// Cancel, a deadline, the Timeout or Shutdown; then its process is killed. Zero
	// means 5 seconds; negative, not at all.
	Grace time.Duration

	// StartTimeout bounds the time from the start of a worker, Init included, until
	// it is ready. Zero means 30 seconds.
	StartTimeout time.Duration

	// MaxTasks is the number of tasks after which a worker is replaced by a
	// fresh one, for tasks that leak. Zero means never.
	MaxTasks int

	// MaxResident is the memory, in bytes, above which a worker is replaced by a fresh
	// one when it has finished what it has: if it has held more whenever it was looked
	// at for a second, while tasks ended. It counts what is in memory and the worker's
	// own, with what its Go runtime has free and not given back. Zero means no such
	// bound. Only on Linux; elsewhere New fails.
	MaxResident int64

	// Memory bounds the memory of each worker, in bytes: what it and its Go
	// runtime have mapped for writing, which grows in steps of 64 MiB. A task that
	// needs more dies with its worker, with [ErrMemory]. The runtime is told of
	// the bound, by GOMEMLIMIT, and collects more eagerly near it. Zero means no
	// bound; the least is 192 MiB. Only on Linux; elsewhere New fails.
	//
	// The system does not count memory that is shared (with the pool, or mapped
	// with MAP_SHARED, or a file in memory), the stack of the first thread, and
	// what the kernel itself keeps for a process. A process that the worker
	// forks or starts has a bound of its own, as large. A Sandbox denies the
	// worker shared memory, larger stacks and forks; docs/security.md lists what
	// is not bounded even then.
	Memory int64

	// MaxResult bounds the result of a task, in bytes as it travels (for a
	// []byte or a string, its length). So it also bounds what a worker can make
	// this process allocate. A task with a larger result fails with
	// [ErrTooLarge], and this process stores nothing of the result. An error may
	// have as many bytes as a result, but at least 1 MiB. Of a longer error, only
	// the beginning of the text arrives. Zero means 1 GiB, which is also the
	// maximum; with a Sandbox, zero means 16 MiB.
	MaxResult int64

	// Sandbox, if set, confines each worker: no writing of files but in given
	// folders, no network, no other programs. Where the system cannot, New fails.
	Sandbox *Sandbox

	// Retry, if set, is asked when a worker has died under a task, with the error
	// that the task would have and the number of times that it has run, from 1 up.
	// It is not asked about a task that never began, see WorkerError.Unbegun.
	// If it returns true the task runs again, on another worker: it has to be one
	// that may run twice. A task that takes its workers down is stopped by
	// counting; the fifth death is its error in any case. It is called from many
	// goroutines, and must not wait for a task. It has the time Timeout, and Grace
	// after the task's context has ended. If it panics or does not return in time,
	// the task does not run again. The error of the task is then err, joined with
	// the [*concert.PanicError] or an error that says that Retry did not return.
	Retry func(err *WorkerError, ran int) bool

	// Command, if set, is a program and its arguments that workers run in place of
	// this program: one that speaks what docs/wire.md describes. The functions that
	// are submitted have to be known there by their names. Such a pool needs no Main.
	// Memory is not told to the program, and Sandbox cannot be set.
	Command []string

	// Check, if set, is called with the argument of each [concert.Relay], which another
	// process may have encoded, before a worker receives it. An error is the task's
	// error, and no worker receives the argument. Check may be called from several
	// goroutines. While it runs, the task counts as queued. If it does not return
	// within Timeout, or before the task's context ends, the task fails.
	Check func(arg concert.Encoded) error

	// Threads is how many tasks each worker runs at a time, if Command is set; the program
	// is told, see docs/wire.md. They share a process: when it dies, all that it ran fail,
	// those beside one that had to be killed with [ErrNeighbor]. Zero means 1.
	Threads int

	// Env is the environment of the workers, as in os/exec; nil means this
	// process's. Dir is their working directory; empty means this process's.
	//
	// All workers start with what there was when New was called: these two, the program
	// of Command, GOMAXPROCS and, on Linux, the mask for the modes of new files, the limits of
	// resources, the processors (sched_setaffinity), the priority (nice) and the score for
	// the killer of processes that need memory (oom_score_adj), whatever this process changes
	// later. The system does not let every process raise a hard limit, or its priority, again:
	// without CAP_SYS_RESOURCE and CAP_SYS_NICE, workers have the lower ones. What a process
	// sets for itself by prctl (as to transparent huge pages or no_new_privs), its control group
	// and its namespaces are those that this process has when the worker starts.
	Env []string
	Dir string

	// Output, if set, is given each line that workers print, with the
	// attributes worker, pid, stream and, if one ran, task. Each state of a progress
	// bar, which begins or ends with "\r", is a line as well. Nil writes the lines
	// to this process's standard error; if that is a terminal, not the traceback of a
	// process that dies, which WorkerError.Stderr has. Control characters are
	// escaped, as in \x1b: what a worker prints cannot tell a terminal what to do.
	//
	// It is also where the pool logs that a worker died, as a warning with the attributes
	// worker, pid, task, input and label (see [concert.Input]), reason, deaths (how
	// many in a row) and pause (before the next start), and that the pool is broken, as
	// an error. A worker that was killed for a task's sake, by a Cancel, a deadline or
	// Timeout, or by Shutdown is logged at debug level. Nil logs to slog.Default().
	//
	// A handler that panics loses the line, and nothing else; the first panic is
	// written to standard error. A slow handler slows the tasks that print. If a call
	// of the handler takes longer than a second, the pool no longer waits for it: it
	// drops lines and log records until the call returns, and then logs how many it
	// dropped, as a warning with the attribute dropped. Close and Shutdown wait until
	// the records of deaths are handled, for a second at most.
	Output *slog.Logger

	// Observer, if set, is told what happens to each task.
	Observer concert.Observer
}

// Initializer is what a worker runs first; see Options.Init.
type Initializer struct {
	name string
	arg  concert.Encoded
	err  error
}

// Initialize returns an Initializer that calls fn, a registered function, with
// arg in each worker. Its result is not used: fn leaves what it makes in variables.
func Initialize[In, Out any](fn func(context.Context, In) (Out, error), arg In) *Initializer {
	var i Initializer
	i.name, i.arg, i.err = concert.Prepare(fn, arg)
	i.arg.Bytes = bytes.Clone(i.arg.Bytes) // which may be the caller's
	return &i
}

var (
	// ErrTooLarge is wrapped by the error of a task whose argument has more than 1 GiB, whose
	// result has more bytes than Options.MaxResult, or whose function has a name of more
	// than 65,535.
	ErrTooLarge = errors.New("processes: value too large")

	// ErrBroken is wrapped by the errors of tasks in a pool that is broken, together with
	// the reason: eight times in a row a worker could not be started, or died without having
	// finished a task, and no task was to blame, and none is left. Such a pool stays broken;
	// Close returns the same error. Mend the reason and make another pool.
	ErrBroken = errors.New("processes: the pool is broken")

	// ErrTimeout is wrapped by the error of a task that ran for longer than
	// Options.Timeout: that had to be killed, or returned the error of its context.
	// It is also [context.DeadlineExceeded].
	ErrTimeout error = timeoutError{}

	// ErrMemory is wrapped by the error of a task whose worker had no memory
	// left within Options.Memory, or was killed by the kernel when its control group
	// had none; or for whose result the system had none, where that is shared.
	ErrMemory = errors.New("processes: out of memory")

	// ErrNeighbor is wrapped by the error of a task whose worker was killed for the sake of
	// another task that it ran; see Options.Threads.
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
	defaultQueue        = 1024
	defaultGrace        = 5 * time.Second
	defaultStartTimeout = 30 * time.Second
	defaultConfined     = 16 << 20 // Options.MaxResult with a Sandbox

	maxPayload = 1 << 30
	maxError   = 1 << 20 // an error, whatever Options.MaxResult is
	maxFrame   = maxPayload + frame.Overhead
	maxDepth   = 3
	maxThreads = 1000      // of Options.Threads
	maxWorkers = 1 << 16   // of a pool
	leastBound = 192 << 20 // of Options.Memory
	mostDeaths = 5         // under one task
)

// depth is how many pools are above this process.
var depth int

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

// New starts n workers, waits until they are ready, and returns their pool. For n of 0
// there are GOMAXPROCS, as processes are meant for tasks that compute.
// The error says why workers could not be started or prepared; then none are
// left. It is [ErrNoMain] in a program that does not call [Main].
//
// New panics if n or a number in the options, other than Grace, is negative; the
// text names it. Close the pool when done with it.
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
	if o.MaxResult > maxPayload {
		return nil, fmt.Errorf("processes: Options.MaxResult is %d bytes, more than %d", o.MaxResult, maxPayload)
	}
	if n > maxWorkers {
		return nil, fmt.Errorf("processes: New: n is %d; at most %d workers are allowed", n, maxWorkers)
	}
	if depth >= maxDepth {
		return nil, ErrNested
	}
	if o.MaxResident > 0 && !canBound {
		return nil, fmt.Errorf("processes: Options.MaxResident: this system does not report how much memory a process has: %w", errors.ErrUnsupported)
	}
	if o.Memory > 0 {
		if !canBound {
			return nil, fmt.Errorf("processes: Options.Memory: this system cannot limit the memory of a process: %w", errors.ErrUnsupported)
		}
		if o.Memory < leastBound {
			return nil, fmt.Errorf("processes: Options.Memory is %d bytes; a worker needs at least %d", o.Memory, leastBound)
		}
	}
	if o.Init != nil && o.Init.err != nil {
		return nil, fmt.Errorf("processes: initializer: %w", o.Init.err)
	}
	if i := o.Init; i != nil && len(i.arg.Bytes) > maxPayload {
		return nil, fmt.Errorf("processes: initializer: %w: the argument of %s has %d bytes, more than %d", ErrTooLarge, i.name, len(i.arg.Bytes), maxPayload)
	}
	var c *confinement
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
		o.MaxResult = defaultConfined
	default:
		o.MaxResult = maxPayload
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
			c.close()
			return nil, fmt.Errorf("processes: initializer: %w", err)
		}
	}
	var err error
	if p.around, err = o.surround(n); err != nil {
		c.close()
		return nil, err
	}
	go func() { // workers start until then
		<-p.gone
		c.close()
		p.around.dir.close()
	}()
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}
