// Package concert runs functions concurrently, anywhere, behind one API: what
// Python's concurrent.futures is, for Go, with types.
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
// to come. [Map] applies a function to a sequence of inputs. [AsCompleted],
// [Wait] and [Gather] wait for several futures. [Go] is a single goroutine
// with a future. Only the line that makes the executor says where tasks run:
//
//	goroutines.New(8, nil)     on goroutines of this process, sharing its memory
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
//     goroutine; with [ErrCancelled], [ErrClosed] or the executor's own error
//     if it never ran.
//   - The error of a task says which input of a Map the task was, and the label
//     that [WithLabel] or [WithInputLabels] has given it: see [InputOf]. Only an
//     error that a function in this process has returned is passed on as it is.
//     Events have the input and the label of all tasks.
//   - The context given to Submit or Map is the parent of the one that the
//     function gets. A task whose context ends before it starts never does; one
//     that runs is told by its context, and its own return decides the outcome.
//   - Queues are bounded: who submits faster than the workers work, waits.
//   - Waits given the task's own context never hang for want of a worker. A
//     task may submit to its own executor, however few workers it has and
//     however full its queue, and wait for the outcome: what has not started
//     its worker runs in between. The same holds for executors whose tasks
//     wait for each other's. Only tasks that wait for each other in a circle
//     can never go on: the wait that closes it gets [ErrDeadlock]. If a wait
//     of the circle has a deadline, or a context that the task has made to be
//     canceled, the circle ends with that wait and there is no error.
//   - An executor of n workers never has more than n tasks that advance.
//   - The submission of a task synchronizes before the call of its function,
//     whose return synchronizes before the return of any wait for it.
//
// # The corners
//
// A task that waits for one of its own executor that has not started runs it
// itself, so the wait ends no sooner than that one returns, whatever becomes
// of the wait's context; a wait with a deadline of its own does not do so. Other
// tasks that the worker runs in between do not hold up the one that waits for
// longer than until they end or wait in their turn.
//
// A wait is seen by its context. Waits on bare channels, mutexes and wait
// groups are not seen, nor are waits given another context than the task's;
// with them a task can block its worker for good, as anywhere in Go. A
// goroutine that a task starts, and that waits with the task's context, is
// taken for the task: it may run an unstarted task itself, beside the worker,
// and so may a Map in the inputs of another Map.
//
// Executors in this process run any function and pass values as they are.
// Executors elsewhere pass copies, and need functions that have a name there:
// see [Register].
//
// For locks there is package sync, for a fixed set of goroutines that fail
// together golang.org/x/sync/errgroup: concert wraps neither.
package concert
