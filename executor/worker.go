package executor

import (
	"slices"
	"sync/atomic"
)

// This file, carrier.go and deadlock.go are for executors whose workers are
// goroutines of this process. They implement a rule of package concert: if a
// task waits with its own context, the wait does not block forever because all
// workers are blocked.

// A Queue is the queue of an executor, as a [WorkerGroup] uses it. It is either
// a [LocalQueue] or a [RemoteQueue]. Its methods never block, and may be called
// from any goroutine.
type Queue interface {
	// Again puts a task of a Map, which has had a turn, at the end of the
	// queue, even if the queue is full. After Close, it fails the task with
	// ErrClosed. The queue may still contain the task: a task that waits for a
	// queued task can give the queued task a turn without removing it from the
	// queue. If returning tasks count for the size of the queue, each Again
	// admits a blocked submitter. Otherwise a few Maps could keep the queue
	// full. In a remote executor, Again also receives a task of a Submit, after
	// methods of the program have encoded its argument. The executor has
	// accepted this task before, so Again queues it even after Close, which
	// waits for the task.
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
	// Withdraw is called when a task is canceled after its call was claimed and
	// before [Batch.Start]. It reports whether the call certainly has not
	// started and never will. If it reports false, the task counts as running:
	// its context is canceled, and its outcome is the one that the executor
	// settles. An executor that calls Start before each function begins can
	// always return true: then Start reports that the call was canceled.
	Withdraw(*Task) bool
}

// WorkerGroup is the set of workers of one executor. The search for deadlocks
// and the observer use it.
type WorkerGroup struct {
	// Lock, if not nil, is a lock that tasks hold while they run. Set it before
	// the first Join.
	Lock Lock

	queue    Queue
	local    LocalQueue  // queue, or nil if the executor is remote
	remote   RemoteQueue // queue, or nil if the executor is local
	limits   Limits      // bounds for the methods that encode and decode the values of remote tasks
	observer *guardedObserver
	code     userCodes

	// Guarded by graph.mu:
	workers    map[*Worker]struct{}
	blocked    int        // number of workers whose tasks are all blocked: those with counted
	round      uint64     // number of the last search that reached the group
	dependents []*carrier // the carriers that wait for the group, in search number round
	runnable   bool       // result of search number round
	epoch      uint64     // increases when the waits of the group's carriers change; see descent
	descended  uint64     // number of the search of the last descent to which the group was added
	stuck      bool       // whether all suspended carriers of the group are stuck, in that descent
}

// NewWorkerGroup returns a group without workers, for an executor whose workers
// are goroutines of this process. The observer may be nil.
func NewWorkerGroup(queue LocalQueue, observer Observer) *WorkerGroup {
	return &WorkerGroup{queue: queue, local: queue, observer: newGuardedObserver(observer), workers: make(map[*Worker]struct{})}
}

// NewRemoteGroup returns a group for an executor whose tasks run in other
// processes. The group has no workers, so Join must not be called. The search
// for deadlocks assumes that a task of this group can start at any time. The
// limits bound the methods that encode and decode values in this process. The
// observer may be nil.
func NewRemoteGroup(queue RemoteQueue, limits Limits, observer Observer) *WorkerGroup {
	return &WorkerGroup{queue: queue, remote: queue, limits: limits, observer: newGuardedObserver(observer)}
}

// Adopt adds a task to the group and calls the observer. Execute must call it
// first, before it acquires any lock.
func (g *WorkerGroup) Adopt(t *Task) {
	if t.group == nil {
		t.group = g
	}
	if t.move(idle, pending) {
		return // the task of a Map that returns with new inputs
	}
	if g.observer != nil {
		t.number()
		t.observe(TaskSubmitted, nil)
	}
}

// A Worker runs tasks sequentially. It belongs to the goroutine that calls
// Serve, its main carrier. While a task of that goroutine is blocked in a wait,
// other goroutines, compensating carriers, may hold the worker, one at a time.
// So of all tasks that a worker has started, at most one runs, and the others
// are blocked.
type Worker struct {
	// State is a value of the executor, which tasks find by [WorkerOf].
	State any

	group *WorkerGroup
	id    int
	done  atomic.Int64 // number of tasks that the worker has run; each item of a Map counts as one

	goroutine atomic.Uint64 // number of the goroutine that runs Serve, or 0

	main         carrier      // the carrier of the goroutine that calls Serve
	compensators atomic.Int32 // number of compensating carriers; changed under graph.mu
	hasTickets   atomic.Bool  // whether resuming is not empty; changed with graph.mu held
	resting      bool         // whether main released the worker in Rest; only the goroutine of main uses it

	// Guarded by graph.mu:
	held         bool          // whether a carrier holds the worker
	parked       bool          // whether main has no task and does not need the worker
	counted      bool          // whether neither held nor parked is true: then all tasks of the worker are blocked, and group.blocked counts the worker
	resuming     []*ticket     // carriers that wait for the worker, oldest first
	compensating []*carrier    // compensating carriers that have not ended
	vacant       chan struct{} // closed when compensating is empty, for Drain
}

// Join adds a worker to the group. Call it before the worker's goroutine
// starts: otherwise the search for deadlocks could find a queued task without a
// worker. The worker needs no goroutine while the queue is empty, and different
// goroutines may call Serve one after another. The parameter id is the number
// of the worker that observers receive.
func (g *WorkerGroup) Join(id int) *Worker {
	if g.local == nil {
		panic("executor: Join: the group was made by NewRemoteGroup, and has no workers")
	}
	w := newWorker(g, id)
	graph.mu.Lock()
	g.workers[w] = struct{}{}
	graph.mu.Unlock()
	return w
}

func newWorker(g *WorkerGroup, id int) *Worker {
	w := &Worker{group: g, id: id, held: true}
	w.main.worker = w
	return w
}

// Leave removes the worker from the group, when the number of workers
// decreases. The worker must run no task and not be Busy: call Drain first. An
// executor that closes need not call Leave after its tasks have settled.
func (w *Worker) Leave() {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	delete(w.group.workers, w)
	w.group.epoch++
	// The workers that stay may all be blocked and depend on this worker.
	if !w.group.freeLocked() {
		for other := range w.group.workers {
			other.rescueLocked()
		}
	}
}

// Busy reports whether the worker has compensating carriers, whose tasks have
// not ended.
func (w *Worker) Busy() bool { return w.compensators.Load() > 0 }

// Drain blocks until the worker is not Busy. In the meantime, other carriers
// may hold the worker. An executor calls Drain before Leave, and before it
// counts all tasks as settled, because tasks of compensating carriers settle
// during Drain.
func (w *Worker) Drain() {
	w.Resume()
	for w.Busy() {
		graph.mu.Lock()
		if w.vacant == nil {
			w.vacant = make(chan struct{})
		}
		vacant := w.vacant
		if len(w.compensating) == 0 {
			close(vacant)
			w.vacant = nil
		}
		w.releaseLocked()
		w.rescueLocked()
		graph.mu.Unlock()
		<-vacant
		w.acquire()
	}
}

// Rest releases a worker that has no task to run. The worker calls Rest before
// it sleeps. When the worker wakes, it calls Resume before it takes a task.
// Without Rest, compensating carriers could not acquire the worker while it
// sleeps. A worker that calls Drain before it sleeps needs no Rest.
func (w *Worker) Rest() {
	w.main.base.Store(nil) // so that the carrier does not keep the result of the last task alive
	if w.compensators.Load() > 0 {
		graph.mu.Lock()
		w.resting, w.parked = true, true
		w.releaseLocked()
		graph.mu.Unlock()
	}
}

// Resume ends the Rest. It blocks while another carrier holds the worker.
func (w *Worker) Resume() {
	for !w.TryResume() {
		w.resting = false
		graph.mu.Lock()
		w.parked = false
		w.recountLocked()
		graph.mu.Unlock()
		w.acquire()
	}
}

// TryResume is Resume, but returns false instead of blocking.
func (w *Worker) TryResume() bool {
	if !w.resting {
		return true
	}
	graph.mu.Lock()
	defer graph.mu.Unlock()
	if w.held {
		return false
	}
	w.resting, w.parked, w.held = false, false, true
	w.recountLocked()
	return true
}

// Group returns the group that the worker joined.
func (w *Worker) Group() *WorkerGroup { return w.group }

// ID returns the number given to Join.
func (w *Worker) ID() int { return w.id }

// Done returns the number of tasks that the worker has run, each item of a
// Map counting as one.
func (w *Worker) Done() int64 { return w.done.Load() }

// Serve runs tasks on the calling goroutine. It gets each task from the
// function next, until this function returns nil. It ignores a task that is no
// longer waiting. If a task calls runtime.Goexit, it settles, and then the
// goroutine ends. So Serve may not return: then a deferred function, or another
// goroutine, must continue with the worker, and call Serve again.
func (w *Worker) Serve(next func() *Task) {
	w.goroutine.Store(goroutineID())
	defer w.goroutine.Store(0)
	for t := next(); t != nil; t = next() {
		w.run(t)
	}
}

// run runs a task on the goroutine of the worker.
func (w *Worker) run(t *Task) {
	w.Resume()
	defer func() {
		if w.hasTickets.Load() {
			w.yield()
		}
	}()
	w.main.run(t)
}

// Tasks returns the tasks that the worker has started and that have not ended.
func (w *Worker) Tasks() []*Task {
	graph.mu.Lock()
	compensating := slices.Clone(w.compensating)
	graph.mu.Unlock()
	tasks := w.main.tasks(nil)
	for _, s := range compensating {
		tasks = s.tasks(tasks)
	}
	return tasks
}
