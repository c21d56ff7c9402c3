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

// MinMemory is the minimum of Options.Memory in bytes, because a worker needs
// that much memory. Zero, which means no limit, is allowed too.
const MinMemory = 192 << 20

// Options tunes a Pool. The zero value, and nil, are ready to use.
type Options struct {
	// Queue is the maximum number of queued tasks. Submit blocks while the
	// queue is full. Zero means 1024.
	Queue int

	// Init, if set, is a function that each worker calls before its first task;
	// see Initialize. Init can load data for all tasks, and store them in
	// variables. If Init fails, the worker runs no tasks and exits. If Init
	// fails in a worker that New has started, New returns the error. If Init
	// fails in later workers repeatedly, the pool is broken, see [ErrBroken].
	Init *Initializer

	// Timeout is the maximum run time of a task. Zero means no limit.
	//
	// Timeout does not include the time before a task begins. Only the context
	// of the task limits that time. If a worker cannot begin its tasks, for
	// example because its process is stopped, other workers get the tasks after
	// a second. The pool kills such a worker after 5 seconds if it is stopped,
	// and otherwise after 10 seconds. docs/faults.md says how the pool measures
	// these times.
	Timeout time.Duration

	// Grace is the time for which a task may continue after the end of its
	// context: after a Cancel, a deadline, the Timeout or Shutdown. After
	// this time, the pool kills the process of the task. Zero means 5
	// seconds, and negative means no time.
	Grace time.Duration

	// StartTimeout is the maximum time from the start of a worker until it is
	// ready. It includes the time of Init. Zero means 30 seconds.
	StartTimeout time.Duration

	// MaxTasks is the number of tasks after which the pool replaces a worker by
	// a new one. It is meant for tasks that leak memory. Zero means never.
	MaxTasks int

	// MaxResident is the memory, in bytes, above which the pool replaces a
	// worker by a new one. The old worker finishes its tasks before it ends.
	// The pool measures the private resident memory of the process, which
	// includes free memory that the Go runtime has not returned to the system.
	// The pool replaces the worker if all measurements within a second are
	// above MaxResident and a task has ended in this time. Zero means no limit.
	// MaxResident works on Linux only; on other systems New fails.
	MaxResident int64

	// Memory is the maximum memory of each worker, in bytes: all memory that
	// the worker and its Go runtime have mapped for writing. The Go runtime
	// maps it in steps of 64 MiB. If a task needs more, its worker dies, and
	// the error of the task wraps [ErrMemory]. The pool sets GOMEMLIMIT, so the
	// runtime collects garbage more often near the limit. Zero means no limit;
	// the minimum is [MinMemory]. Memory works on Linux only; on other systems
	// New fails.
	//
	// The limit does not include shared memory (memory shared with the pool,
	// memory mapped by MAP_SHARED, and files in memory), the stack of the first
	// thread, and memory of the kernel. A process that the worker forks or
	// starts has the same limit for its own memory. A Sandbox denies the worker
	// shared memory, larger stacks and forks. docs/security.md lists the memory
	// that a Sandbox does not limit.
	Memory int64

	// MaxResult is the maximum size of the encoded result of a task, in
	// bytes. The size of a []byte or a string is its length. So MaxResult
	// also limits the memory that a worker can make this process allocate. A
	// task with a larger result fails with [ErrTooLarge]. The maximum size
	// of an error is the larger one of MaxResult and 1 MiB; a longer error
	// loses the end of its text. Zero means 1 GiB, which is also the
	// maximum. With a Sandbox, zero means 16 MiB.
	MaxResult int64

	// Sandbox, if set, confines each worker: it can write files in the given
	// directories only, and cannot use the network or start programs. If the
	// system does not support this, New fails.
	Sandbox *Sandbox

	// Retry, if set, is called when the worker of a task has died. It reports
	// whether the task runs again, on another worker. Such a task must tolerate
	// a second run. The arguments are the error that the task would return, and
	// the number of times that the task has run, from 1 up. Retry is not called
	// for a task that never began, see WorkerError.Unbegun. After the fifth
	// death, the task fails in any case.
	//
	// Retry is called from many goroutines, and must not wait for a task. It
	// must return within Timeout, and within Grace after the task's context
	// has ended. If it does not, or if it panics, the task does not run
	// again. Then the error of the task joins two errors: the WorkerError,
	// and the [*concert.PanicError] or an error which says that Retry did
	// not return.
	Retry func(err *WorkerError, ran int) bool

	// Command, if set, is a program and its arguments. The pool starts this
	// program as its workers. The program must use the protocol of
	// docs/wire.md, and must know the submitted functions by their names. If
	// all pools of this process set Command, this process need not call Main.
	// The pool does not pass the value of Memory to the program. Sandbox cannot
	// be set together with Command.
	Command []string

	// Check, if set, is called with the argument of each [executor.Relay],
	// which another process may have encoded. The pool calls Check before a
	// worker receives the argument. If Check returns an error, the task fails
	// with this error, and no worker receives the argument. Check may be called
	// from several goroutines. While it runs, the task counts as queued. If it
	// does not return within Timeout, or before the task's context ends, the
	// task fails.
	Check func(arg executor.Encoded) error

	// CheckShared, if set, is called with each value that another process has
	// encoded, before the pool stores it for calls of [executor.Relay]. If it
	// returns an error, [executor.RelayShared] returns this error.
	CheckShared func(value executor.Encoded) error

	// SharedCodec, if set, says that the program of Command receives shared
	// values by the frames of docs/wire.md, and encodes the values that
	// [concert.Share] stores. If SharedCodec is nil, each call of such a
	// program copies the value. SharedCodec can be set only if Command is
	// set.
	SharedCodec executor.SharedCodec

	// Threads is the number of tasks that each worker runs concurrently. It
	// can be set only if Command is set. The program receives the number,
	// see docs/wire.md. The tasks of a worker share its process: if the
	// process dies, all of them fail. If the pool killed the process because
	// of one task, the other tasks fail with [ErrNeighbor]. Zero means 1.
	Threads int

	// Env is the environment of the workers, as in os/exec; nil means the
	// environment of this process. Dir is the working directory of the workers;
	// empty means the working directory of this process.
	//
	// All workers start with the settings that this process had when New was
	// called: Env and Dir, the program of Command, GOMAXPROCS and, on Linux,
	// the file mode mask, the resource limits, the processors
	// (sched_setaffinity), the priority (nice) and the score for the
	// out-of-memory killer (oom_score_adj). Later changes in this process have
	// no effect, with these exceptions:
	//
	//   - If this process has lowered a hard limit or its priority, and lacks
	//     CAP_SYS_RESOURCE or CAP_SYS_NICE, workers have the lower value.
	//   - The pool sets the resource limits and the score just after a worker
	//     has started, so the initialization of the worker's packages may see
	//     the present values of this process.
	//   - Workers inherit the settings of prctl (such as transparent huge pages
	//     or no_new_privs), the control group and the namespaces that this
	//     process has when it starts them.
	Env []string
	Dir string

	// Output, if set, receives each line that workers print, with the
	// attributes worker, pid, stream and, if a task ran, task. A progress bar
	// prints lines that begin or end with "\r"; Output receives each of them.
	// If Output is nil, the pool writes the lines to this process's standard
	// error. If standard error is a terminal, the pool does not write the
	// traceback of a process that dies, because WorkerError.Stderr contains the
	// traceback. The pool escapes control characters, as in \x1b, so that a
	// worker cannot control the terminal.
	//
	// The pool also writes its own log records to Output: a warning for each
	// death of a worker, and an error when the pool breaks. The attributes
	// of the warning are worker, pid, task, input and label (see
	// [concert.Input]), reason, deaths (the number of workers in a row that
	// died before they finished a task; 0 if this worker finished one) and
	// pause (before the next start). If the pool killed a worker because of
	// a Cancel, a deadline, Timeout or Shutdown, it logs the death at debug
	// level. If Output is nil, the pool logs to slog.Default().
	//
	// If the handler of Output panics, only the line or the log record is lost;
	// the pool writes the first panic to standard error. A slow handler slows
	// the tasks that print. If a call of the handler takes longer than a
	// second, the pool drops lines and log records until the call returns. Then
	// the pool logs the number of dropped lines, as a warning with the
	// attribute dropped. Close and Shutdown wait until the handler has handled
	// the pool's log records, for a second at most.
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
// arg in each worker. The result of fn is not used: fn must store its data in
// variables of the worker.
func Initialize[In, Out any](fn func(context.Context, In) (Out, error), arg In) *Initializer {
	var i Initializer
	i.name, i.arg, i.err = executor.Prepare(fn, arg)
	i.arg.Bytes = bytes.Clone(i.arg.Bytes) // the caller may change its argument
	return &i
}

// check panics if n is negative. It also panics if a number in the options is
// negative, but must not be.
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
