package concert

import "concert/executor"

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// or on other machines. A program creates an executor by the function New of a
// package, or by cluster.Dial, and passes it to [Submit] and [Map]. Programs
// call only two of its methods:
//
//   - Close refuses new tasks, waits until all accepted ones have settled, and
//     releases the executor's resources.
//   - Shutdown(ctx) does the same, but when ctx ends, it cancels the remaining
//     tasks. Then it returns a [*ShutdownError].
//
// The functions of this package and the authors of executors use the other
// methods: package executor describes them. All methods are safe for concurrent
// use.
type Executor = executor.Executor
