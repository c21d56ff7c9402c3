package concert

import "concert/executor"

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// or on other machines. A program creates an executor by the function New of a
// package, or by cluster.Dial, and passes it to [Submit] and [Map]. Programs
// call these methods:
//
//   - Close refuses new tasks, waits until all accepted ones have settled, and
//     releases the executor's resources.
//   - Shutdown(ctx) does the same, but if ctx ends before that, it cancels
//     the remaining tasks, and returns a [*ShutdownError].
//   - Stats returns a snapshot of what the executor does and has done. A
//     program may call it at any time, even after Close.
//   - Watch(observer) calls an [Observer] for the tasks of the running
//     executor, in addition to the Observer of its options. It returns a
//     function that ends this.
//
// The functions of this package and the authors of executors use the other
// methods: package executor describes them. All methods are safe for concurrent
// use.
type Executor = executor.Executor

// Stats is a snapshot of an executor, as its method Stats returns it. It has
// the fields
//
//   - Workers and Busy, the number of workers, and of those that have started a
//     task;
//   - Queued and Running, the numbers of tasks that were accepted and have not
//     started, and that have started and not settled;
//   - Waiting, the number of submitters that wait for room in the queue;
//   - Submitted and Done, the numbers of tasks that were accepted, and that
//     have settled, since the executor was made: when no task moves, Submitted
//     is Queued + Running + Done;
//   - Failed, the tasks in Done that have an error, by kind;
//   - Restarts, the number of workers that were started because another one had
//     died;
//   - Sent and Received, the numbers of bytes that were sent to workers and
//     received from them;
//   - QueueTime and RunTime, each a [Histogram] of the times of tasks.
//
// Each item of a Map counts as one task, when it is claimed for a worker. Short
// tasks are sampled for the two histograms. executor.Stats describes all of
// this exactly. Encoded as JSON, the fields have lower-case names, and
// durations are in seconds.
type Stats = executor.Stats

// Failures counts the tasks of an executor that have an error, by kind: Errors,
// Panics, Timeouts, Canceled, WorkerDeaths and Other. The method Total returns
// their sum.
type Failures = executor.Failures

// Histogram counts durations in buckets from 1 us to about 1 h, each bucket
// twice as long as the previous bucket. Its methods are Count, Mean,
// Quantile and Bounds. The result of Quantile is an estimate. It differs
// from the exact quantile by less than a factor of 2.
type Histogram = executor.Histogram
