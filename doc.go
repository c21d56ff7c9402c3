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
// one task to an executor and returns a [Future], by which the caller gets the
// outcome of the task later. [Map] applies a function to a sequence of inputs,
// and [Collect] returns all results of a Map. [AsCompleted], [Wait] and
// [Gather] wait for several futures. [Go] starts a single goroutine and returns
// its future. Only the line that creates the executor determines where tasks
// run:
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
//     passed on unchanged, so it has no index and no label. The events of an
//     [Observer] have the index and the label of every task.
//   - The context that is passed to Submit or Map is the parent of the
//     context that the function receives. If the parent ends before the task
//     starts, the task never starts. If the parent ends while the task runs,
//     the context of the function ends, and the outcome is what the function
//     then returns.
//   - Queues are bounded: a Submit waits while the queue is full. [TrySubmit]
//     reports false instead.
//   - If a task waits with its own context, the wait never blocks forever for
//     lack of a free worker. A task may submit to its own executor and wait for
//     the outcome, however few workers the executor has and however full its
//     queue is: while the task waits, its worker runs tasks that have not
//     started. The same holds for several executors of this process whose tasks
//     wait for each other. Only a circle of tasks that wait for each other
//     cannot end: the wait that closes the circle returns [ErrDeadlock]. There
//     is an exception. One wait of the circle may have a deadline, or a
//     cancelable context that its task has made. This wait can fail with the
//     error of its context, and its task then continues. So no wait of the
//     circle returns ErrDeadlock.
//   - An executor with n workers runs at most n tasks at the same time.
//   - The submission of a task synchronizes before the call of its function.
//     The return of the function synchronizes before the return of any wait for
//     the task.
//
// # The corners
//
// If task A waits for an unstarted task B of the same executor, the worker of A
// runs B at once, on the goroutine of A. The wait of A then ends when B
// returns, even if the context of the wait ends earlier. If the wait has a
// deadline of its own, A does not run B in this way. If B calls runtime.Goexit,
// this ends the goroutine, and so A as well: both tasks have the error
// ErrGoexit. If the worker of A runs other tasks during the wait, A continues
// only when these tasks have ended, or wait themselves.
//
// An executor recognizes a wait of a task by the context of the wait. It does
// not recognize waits on channels, mutexes and wait groups, nor waits with a
// context that is not derived from the task's context. A task in such a wait
// blocks its worker. A goroutine that a task starts, and that waits with the
// task's context, counts as part of the task: this goroutine may run an
// unstarted task, in addition to the task that the worker runs. The inputs of a
// Map are iterated on such a goroutine. So a Map in the inputs of another Map
// counts as part of the task, too.
//
// An executor does not recognize waits in other processes. A task in a worker
// process or in a cluster can submit to a cluster and wait, but the task keeps
// its worker while it waits. If all workers run tasks that wait, and the
// awaited tasks have no worker, no task continues. Give such waits a deadline.
//
// Executors in this process run any function and pass values as they are.
// Executors with workers in other processes pass copies, and need functions
// that are registered under a name: see [Register]. If many calls use one large
// value, [Share] avoids the copies.
//
// For locks, use package sync. For a fixed set of goroutines that fail
// together, use golang.org/x/sync/errgroup. concert does not wrap these
// packages.
package concert
