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
	// Interpreter is the program, by its name or its path, or the directory of
	// a virtual environment. A relative path is one from this process's working
	// directory, whatever Dir is. Empty means the environment variable
	// VIRTUAL_ENV's if it is set, and else python3.
	Interpreter string

	// Path lists directories in which modules are looked for first, as
	// PYTHONPATH does. The working directory comes after them. The worker
	// itself uses modules of the standard library only. A file with the name of
	// such a module, such as types.py, does not break the worker, and "import
	// types" does not find the file.
	Path []string

	// Import lists modules that each worker imports before its first task. One
	// that cannot be imported fails New, with Python's error.
	Import []string

	// Init, if set, is run by each worker before its first task, after Import.
	// Its function is one of [Func] or [Source]. An exception fails New.
	Init *processes.Initializer

	// Threads is how many tasks each interpreter runs concurrently, each on a
	// thread of its own. With an interpreter lock, only one thread computes,
	// while others may block on I/O. If the process dies, all its tasks fail.
	// Zero means 1.
	Threads int

	// Env is the environment of the workers, as in os/exec; nil means this
	// process's. Dir is their working directory; empty means this process's.
	Env []string
	Dir string

	// Queue is the maximum number of tasks that wait in the pool. Submit blocks
	// while there are so many. Zero means 1024.
	Queue int

	// Timeout is the maximum run time of a task. Zero means no limit.
	//
	// The Timeout does not count the time before a task begins. If an
	// interpreter cannot begin its tasks, other interpreters get the tasks
	// after a second. The reason may be a thread that an earlier task started,
	// and that holds the interpreter lock. The pool kills such an interpreter
	// after 10 seconds, or after 5 seconds if its process is stopped.
	// docs/faults.md says which time counts.
	Timeout time.Duration

	// Grace is how long a task may continue after it was interrupted by a
	// Cancel, a deadline, Timeout or Shutdown, and how long a worker may take
	// to end. Then the process is killed. Zero means 5 seconds; a negative
	// Grace means no time.
	Grace time.Duration

	// StartTimeout is the maximum time from the start of a worker until it is
	// ready. It includes the time of Import and Init. Zero means 30 seconds.
	StartTimeout time.Duration

	// MaxTasks is the number of tasks after which the pool replaces a worker by
	// a new one, for tasks that leak memory. Zero means never.
	MaxTasks int

	// MaxResident is the memory, in bytes, above which the pool replaces a
	// worker by a new one. The old worker finishes its tasks before it ends.
	// Zero means no limit. MaxResident works on Linux only; on other systems
	// New fails.
	MaxResident int64

	// Memory is the maximum memory of each worker, in bytes. If a task needs
	// more, Python raises MemoryError in it, or its worker dies and its error
	// wraps [processes.ErrMemory]. Zero means no limit; the minimum is
	// [processes.MinMemory]. Memory works on Linux only; on other systems New
	// fails. See [processes.Options] for memory that the limit does not
	// include.
	Memory int64

	// MaxResult is the maximum size of the encoded result of a task, and of
	// each value of a [Stream], in bytes. A task with a larger one fails with
	// [processes.ErrTooLarge]. Zero means 1 GiB, which is also the maximum.
	MaxResult int64

	// Retry, if set, decides whether a task runs again after its worker has
	// died. err is the error with which the task fails if Retry returns false.
	// ran is the number of times that the task has run, at least 1. See
	// [processes.Options].
	Retry func(err *processes.WorkerError, ran int) bool

	// Output, if set, receives each line that workers print, and what the pool
	// logs about workers. Nil means this process's standard error and
	// slog.Default(). See [processes.Options] for the attributes.
	Output *slog.Logger

	// Observer, if set, is called for each step of each task.
	Observer concert.Observer
}

// pool returns the options of the pool of processes, without those that New
// adds: the program, its environment, and the check of arguments.
func (o *Options) pool() (all processes.Options) {
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(&all).Elem()
	for f, v := range to.Fields() {
		if own := from.FieldByName(f.Name); own.IsValid() {
			v.Set(own)
		}
	}
	return all
}
