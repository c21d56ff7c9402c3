package python

import (
	"log/slog"
	"reflect"
	"time"

	"concert"
	"concert/processes"
)

// Options tunes a pool of interpreters. The zero value, and nil, are ready to
// use. A field with the name of a field of [processes.Options] has the same
// meaning and the same default.
type Options struct {
	// Interpreter is the name or the path of the Python program, or the
	// directory of a virtual environment. A relative path starts at the
	// working directory of this process, even if Dir is set. If Interpreter
	// is empty, New uses the value of the environment variable VIRTUAL_ENV.
	// If this variable is empty, too, New uses python3.
	Interpreter string

	// Path lists the directories that Python searches first for modules, as
	// PYTHONPATH does. The working directory comes after them. The worker
	// itself uses modules of the standard library only. So a file with the name
	// of such a module, such as types.py, does not break the worker. But if the
	// worker has imported the module types, "import types" in a task does not
	// find the file.
	Path []string

	// Import lists modules that each worker imports before its first task. If a
	// module cannot be imported, New fails with Python's error.
	Import []string

	// Init, if set, is a call that each worker runs after Import and before
	// its first task. The function must come from [Func] or [Source]. If the
	// function raises an exception, New fails.
	Init *processes.Initializer

	// Threads is the number of tasks that each interpreter runs
	// concurrently. Each task runs on its own thread. If the interpreter has
	// an interpreter lock, only one thread can compute at any time, while
	// others may block on I/O. If the process of an interpreter dies, all
	// tasks that it runs fail. Zero means 1.
	Threads int

	// Env is the environment of the workers, as in os/exec. Nil means the
	// environment of this process. Dir is the working directory of the workers.
	// Empty means the working directory of this process.
	Env []string
	Dir string

	// Queue is the maximum number of tasks that wait in the pool. Submit blocks
	// while this number of tasks waits. Zero means 1024.
	Queue int

	// Timeout is the maximum run time of a task. Zero means no limit.
	//
	// The time before a task begins does not count. If an interpreter cannot
	// begin its tasks, other interpreters get the tasks after a second. The
	// reason may be that a thread of an earlier task holds the interpreter
	// lock. The pool kills such an interpreter after 10 seconds, or after 5
	// seconds if its process is stopped. docs/faults.md says how the pool
	// measures these times.
	Timeout time.Duration

	// Grace is a time limit for two things: for a task that was interrupted
	// by a Cancel, a deadline, Timeout or Shutdown, and for a worker that
	// must end. After this time, the pool kills the process. Zero means 5
	// seconds. A negative Grace means no time.
	Grace time.Duration

	// StartTimeout is the maximum time from the start of a worker until it is
	// ready. It includes the time of Import and Init. Zero means 30 seconds.
	StartTimeout time.Duration

	// MaxTasks is the number of tasks after which the pool replaces a worker by
	// a new one. It is meant for tasks that leak memory. Zero means never.
	MaxTasks int

	// MaxResident is the memory, in bytes, above which the pool replaces a
	// worker by a new one. The old worker finishes its tasks before it ends.
	// Zero means no limit. MaxResident works on Linux only; on other systems
	// New fails.
	MaxResident int64

	// Memory is the maximum memory of each worker, in bytes. If a task needs
	// more, Python raises MemoryError in the task, or the worker dies and the
	// error of the task wraps [processes.ErrMemory]. Zero means no limit; the
	// minimum is [processes.MinMemory]. Memory works on Linux only; on other
	// systems New fails. See [processes.Options] for memory that the limit does
	// not include.
	Memory int64

	// MaxResult is the maximum size of the encoded result of a task, and of
	// each value of a [Stream], in bytes. A task with a larger result or value
	// fails with [processes.ErrTooLarge]. Zero means 1 GiB, which is also the
	// maximum.
	MaxResult int64

	// Retry, if set, decides whether a task runs again after its worker has
	// died. The argument err is the error with which the task fails if Retry
	// returns false. The argument ran is the number of times that the task has
	// run, at least 1. See [processes.Options].
	Retry func(err *processes.WorkerError, ran int) bool

	// Output, if set, receives each line that workers print, and the log
	// records of the pool. If Output is nil, the lines go to the standard
	// error of this process, and the log records to slog.Default(). See
	// [processes.Options] for the attributes.
	Output *slog.Logger

	// Observer, if set, is called for each step of each task.
	Observer concert.Observer
}

// pool returns these options as options of a pool of processes. New then
// adds the program and the check of arguments, and extends the environment.
func (o *Options) pool() (all processes.Options) {
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(&all).Elem()
	for f, v := range to.Fields() {
		if own := from.FieldByName(f.Name); own.IsValid() {
			v.Set(own)
		}
	}
	return all
}
