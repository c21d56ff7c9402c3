package python

import (
	"context"

	"concert"
)

// Interpreter describes an interpreter.
type Interpreter struct {
	Implementation string // "CPython"
	Version        string // "3.13.1"
	Executable     string // its path

	// GIL reports whether the interpreter has the global interpreter lock. With
	// the lock, only one of the tasks that run concurrently (see
	// Options.Threads) can compute at any time, while others wait for I/O. A
	// free-threaded build (PEP 703) has no such lock, so all of the tasks can
	// compute at the same time.
	GIL bool
}

var describe = Source[None, Interpreter]("describe", `
def describe():
    import platform
    import sys

    return {
        "Implementation": platform.python_implementation(),
        "Version": platform.python_version(),
        "Executable": sys.executable,
        "GIL": getattr(sys, "_is_gil_enabled", lambda: True)(),
    }
`)

// Describe returns the description of one interpreter of a pool. It submits
// a task to the pool, and this task waits in the queue like other tasks.
func Describe(ctx context.Context, ex concert.Executor) (Interpreter, error) {
	return concert.Submit(ctx, ex, describe, None{}).Result(ctx)
}
