package executor

import (
	"context"
	"runtime"
	"sync/atomic"
)

// An Executor runs tasks: on goroutines, in processes, in Python interpreters,
// or on other machines. A program creates an executor by the function New of a
// package, or by cluster.Dial, and passes it to [Submit] and [Map]. Programs
// call only the methods Close and Shutdown. Authors of executors implement and
// call the others.
//
// All methods are safe for concurrent use. The suite in package executortest
// tests whether an implementation obeys the rules below.
type Executor interface {
	// Execute accepts the task, or returns an error. While the executor has no
	// room, Execute waits. If ctx ends during the wait, Execute returns
	// [context.Cause] of ctx. Execute uses ctx only for this wait. If there is
	// room, Execute accepts the task even if ctx has ended: TrySubmit passes
	// such a context. If ctx is the context of a task, the wait blocks the
	// worker of that task. So pass ctx to [WorkerGroup.WaitRoom], which finds
	// this worker by the context.
	//
	// If Execute returns nil, the executor must run, claim or fail the task.
	// If Execute returns an error, the executor must not use the task. After
	// Close or Shutdown, the error is [ErrClosed].
	Execute(ctx context.Context, task *Task) error

	// Width returns the number of tasks of one Map that the executor can use at
	// the same time: the number of its workers, or more if workers fetch tasks
	// ahead. It is at least 1 and may change.
	Width() int

	// Stats returns a snapshot of the executor: its workers, its tasks and
	// their times. It may be called often, and even after Close. An executor
	// returns the result of [WorkerGroup.Stats], and adds the numbers that
	// only the executor knows.
	Stats() Stats

	// Watch adds an observer to the running executor. Several observers can be
	// added, and each is called until its stop is called. When stop returns, no
	// further call of the observer begins. stop also waits for the calls that
	// run, but for at most a second. See concert.Observer for the events that
	// the observer receives. An executor returns the result of
	// [WorkerGroup.Watch].
	Watch(o Observer) (stop func())

	// Close refuses new tasks, waits until all accepted ones have settled,
	// and releases the executor's resources. A second call waits for the
	// first. A task or a callback that closes its own executor would wait for
	// itself. In this case, an executor whose workers are goroutines of this
	// process only refuses new tasks, and immediately returns an error that
	// wraps [ErrDeadlock].
	Close() error

	// Shutdown is a Close with a time limit. It refuses new tasks, and waits
	// until all tasks have settled. If ctx ends first, it cancels the remaining
	// tasks, and waits for at most a grace period. A running task is canceled
	// by its context. Shutdown returns nil if no task had to be canceled.
	// Otherwise it returns a [*ShutdownError] with the names of the tasks that
	// still run after the grace period. The futures of these tasks settle when
	// their functions return.
	Shutdown(ctx context.Context) error
}

// A Queue is the queue of an executor, as a [WorkerGroup] uses it. It is either
// a [LocalQueue] or a [RemoteQueue]. Its methods never block, and may be called
// from any goroutine.
type Queue interface {
	// Again puts a task of a Map, which has had a turn, at the end of the
	// queue, even if the queue is full. After Close, it fails the task with
	// ErrClosed. The queue may still contain the task: a task that waits for
	// a queued task can give the queued task a turn without removing it from
	// the queue. If returning tasks count for the size of the queue, each
	// Again must also admit a blocked submitter. Otherwise a few Maps could
	// keep the queue full. In a remote executor, Again also receives a task
	// of a Submit, after methods of the program have encoded its argument.
	// The executor has accepted this task before, so Again queues it even
	// after Close, which waits for the task.
	Again(*Task)
	// Dropped is called when a queued task was canceled, or was run by the
	// worker of the task that waits for it. Then the slot of the queued task is
	// free. It is also called when a call leaves the list that
	// [WorkerGroup.UserCode] returns.
	Dropped()
}

// A LocalQueue is the queue of an executor whose workers are goroutines of this
// process. [TaskQueue] is one.
type LocalQueue interface {
	Queue
	// Next removes the next task from the queue and returns it, or returns nil.
	// Compensating carriers call it, while a worker of the group is blocked.
	Next() *Task
}

// A RemoteQueue is the queue of an executor that claims calls.
type RemoteQueue interface {
	Queue
	// Withdraw is called when a task is canceled after its call was claimed
	// and before [Batch.Start]. It reports whether the call certainly has not
	// started and never will. If it reports false, the task counts as
	// running: its context is canceled, and the executor determines its
	// outcome by Settle. An executor that calls Start before each function
	// begins can always return true: then Start reports that the call was
	// canceled.
	Withdraw(*Task) bool
}

// WorkerGroup is the set of workers of one executor. The search for deadlocks
// and the observer use it.
type WorkerGroup struct {
	// Lock, if not nil, is a lock that tasks hold while they run. Set it before
	// the first Join.
	Lock Lock

	queue  Queue
	local  LocalQueue  // queue, or nil if the executor is remote
	remote RemoteQueue // queue, or nil if the executor is local
	limits Limits      // bounds for the methods that encode and decode the values of remote tasks
	code   userCodes
	stats  *statistics // nil if the tasks are not counted: in the group of Go

	observers atomic.Pointer[observers] // nil if there are none

	// Guarded by graph.mu:
	workers    map[*Worker]struct{}
	left       workerCounts // of the workers that have left
	blocked    int          // number of workers whose tasks are all blocked; their field counted is true
	round      uint64       // number of the last search that reached the group
	dependents []*carrier   // the carriers that wait for the group, in search number round
	runnable   bool         // result of search number round
	epoch      uint64       // increases when the waits of the group's carriers change; see descent
	descended  uint64       // number of the search of the last descent to which the group was added
	stuck      bool         // whether all suspended carriers of the group are stuck, in that descent
}

// NewWorkerGroup returns a group without workers, for an executor whose workers
// are goroutines of this process. The observer may be nil.
func NewWorkerGroup(queue LocalQueue, observer Observer) *WorkerGroup {
	g := &WorkerGroup{queue: queue, local: queue, stats: newStatistics(runtime.GOMAXPROCS(0)), workers: make(map[*Worker]struct{})}
	g.observers.Store(newObservers(observer))
	return g
}

// NewRemoteGroup returns a group for an executor whose tasks run in other
// processes. The group has no workers, so Join must not be called. The search
// for deadlocks assumes that a task of this group can start at any time. The
// limits bound the methods that encode and decode values in this process. The
// observer may be nil.
func NewRemoteGroup(queue RemoteQueue, limits Limits, observer Observer) *WorkerGroup {
	g := &WorkerGroup{queue: queue, remote: queue, limits: limits, stats: newStatistics(runtime.GOMAXPROCS(0))}
	g.observers.Store(newObservers(observer))
	return g
}
