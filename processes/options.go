package processes

import (
	"bytes"
	"context"
	"log/slog"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/option"
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
