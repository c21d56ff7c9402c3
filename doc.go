// Package concert runs functions concurrently behind one typed API, wherever
// they run. It is for Go what concurrent.futures is for Python.
//
//	fut := concert.Submit(ctx, ex, square, 7)   // *Future[int]
//	n, err := fut.Result(ctx)
//
//	for page, err := range concert.Map(ctx, ex, fetch, slices.Values(urls)) { ... }
//
// # The model
//
// An [Executor] runs tasks. A task is a function applied to an argument; the
// function has the form func(context.Context, In) (Out, error). [Submit] hands
// one task to an executor and returns its [Future], the outcome that is still
// to come. [Map] applies a function to a sequence of inputs, and [Collect]
// returns all results of a Map. [AsCompleted], [Wait] and [Gather] wait for
// several futures. [Go] starts a single goroutine and returns its future. Only
// the line that makes the executor says where tasks run:
//
//	goroutines.New(8, nil)        on goroutines of this process, sharing its memory
//	processes.New(8, nil)         in processes of this program, each with its own memory
//	python.New(8, nil)            in Python interpreters, which are processes too
//	cluster.Dial(ctx, url, nil)   in programs on other machines
//
//	            Submit, Map                        Result, AsCompleted, Wait, Gather
//	caller ------------------> executor's queue           ^
//	   ^                             |                    |
//	   | full: the caller waits      v                    |
//	   +------------------------- worker 1..n --settle--> future --> callbacks
//
// # The rules
//
//   - Every task settles, exactly once: with what its function returned; with
//     a [*PanicError] if it panicked; with [ErrGoexit] if it ended its
//     goroutine; with [ErrCanceled], [ErrClosed] or the executor's own error
//     if it never ran.
//   - The error of a task has the index of its input in a Map, and the label
//     that [WithLabel] or [WithInputLabels] has given to the task: see
//     [InputOf]. An error that a function in this process has returned is
//     passed on unchanged, and has neither. The events of an [Observer] have
//     the index and the label of every task.
//   - The context given to Submit or Map is the parent of the one that the
//     function gets. If it ends before the task starts, the task never starts.
//     If it ends while the task runs, the context of the function ends, and
//     what the function then returns is the outcome.
//   - Queues are bounded: a Submit waits while the queue is full. [TrySubmit]
//     reports false instead.
//   - A wait that is given the task's own context never hangs for want of a
//     worker. A task may submit to its own executor and wait for the outcome,
//     however few workers the executor has and however full its queue is: while
//     the task waits, its worker runs tasks that have not started. The same
//     holds for several executors of this process whose tasks wait for each
//     other. Only a circle of tasks that wait for each other cannot end: the
//     wait that closes the circle returns [ErrDeadlock]. But if a wait of the
//     circle has a deadline, or a cancelable context that its task has made, no
//     wait returns ErrDeadlock: this wait can fail with the error of its
//     context, and then its task continues.
//   - Of the tasks of an executor with n workers, at most n run at the same
//     time; the others wait.
//   - The submission of a task synchronizes before the call of its function,
//     whose return synchronizes before the return of any wait for it.
//
// # The corners
//
// If a task waits for an unstarted task of its own executor, its worker runs
// that task at once, on the same goroutine. The wait then ends when that task
// returns, even if the context of the wait ends earlier. A wait with a deadline
// of its own does not run the task in this way. If the task calls
// runtime.Goexit, it ends the goroutine, and so the task that waits: both have
// the error ErrGoexit. If the worker runs other tasks in the meantime, the wait
// continues when these end, or wait themselves.
//
// A wait is recognized by its context. Waits on channels, mutexes and wait
// groups are not recognized, nor are waits with a context that is not derived
// from the task's. A task in such a wait blocks its worker, as anywhere in Go.
// A goroutine that a task starts, and that waits with the task's context, is
// taken for the task: it may run an unstarted task itself, in addition to the
// worker. The inputs of a Map are iterated on such a goroutine, so a Map in the
// inputs of another Map is taken for the task, too.
//
// Waits are not recognized across processes. A task in a worker process or in a
// cluster can submit to a cluster and wait, but it keeps its worker while it
// waits. If all workers have tasks that wait for tasks without a worker, none
// of them continues. Give such waits a deadline.
//
// Executors in this process run any function and pass values as they are.
// Executors elsewhere pass copies, and need functions that have a name there:
// see [Register].
//
// concert does not wrap package sync, which has locks, nor
// golang.org/x/sync/errgroup, for a fixed set of goroutines that fail together.
package concert
