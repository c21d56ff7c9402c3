package python

import (
	"context"

	"concert"
)

// Interpreter is what an interpreter says about itself.
type Interpreter struct {
	Implementation string // "CPython"
	Version        string // "3.13.1"
	Executable     string // its path

	// GIL says that it has the global interpreter lock: of the tasks that it runs at a time,
	// with Options.Threads, one computes, while others wait for something outside. A free-threaded
	// build (PEP 703) has none, and computes with all of them.
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

// Describe asks one of a pool's interpreters what it is. It is a task like others, and
// waits for its turn.
func Describe(ctx context.Context, ex concert.Executor) (Interpreter, error) {
	return concert.Submit(ctx, ex, describe, None{}).Result(ctx)
}
