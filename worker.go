package concert

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// This file and deadlock.go are for those who write executors whose workers
// are goroutines of this process. They make the promise of the package
// comment hold: a wait that is given the task's own context cannot deadlock.

// A Queue is what a [WorkerGroup] asks of its executor. The methods never
// block and may be called from any goroutine. An executor whose workers are
// not goroutines of this process is only ever asked for Dropped.
type Queue interface {
	// Next takes the task that is next in turn out of the queue, or returns
	// nil. A worker that is blocked in a wait calls it when every worker of
	// the group is.
	Next() *Task
	// Again puts a task that had a turn at the end of the queue, whatever
	// the bound of the queue; after Close it fails the task with ErrClosed.
	Again(*Task)
	// Dropped says that a task was cancelled, or run by the worker that
	// waits for it, while it stood in the queue: its place can be used.
	Dropped()
}

// WorkerGroup is the set of workers that serve one executor, as the search
// for deadlocks and the observer see it.
type WorkerGroup struct {
	queue    Queue
	observer Observer

	// Guarded by graph.mu:
	workers map[*Worker]struct{}
	blocked int // workers whose newest task waits
}

// NewWorkerGroup returns a group without workers. An executor whose workers
// are not goroutines of this process never calls Join: its tasks are taken to
// be able to start at any time. The observer may be nil.
func NewWorkerGroup(queue Queue, observer Observer) *WorkerGroup {
	return &WorkerGroup{queue: queue, observer: observer, workers: make(map[*Worker]struct{})}
}

// Adopt is the first thing an Execute does with a task, before it takes any
// lock: it ties the task to the group and tells the observer.
func (g *WorkerGroup) Adopt(t *Task) {
	if t.group == nil {
		t.group = g
	}
	if t.move(idle, pending) {
		return // a Map's task, back with new input
	}
	if g.observer != nil {
		t.number()
		t.observe(TaskSubmitted, nil)
	}
}

// A Worker is a goroutine that runs tasks one after another. When a task that
// it runs waits for another task of the group that has not started, the
// worker runs that one in between, on top of the first.
type Worker struct {
	// State is what the executor wants tasks to find again through WorkerOf.
	State any

	group *WorkerGroup
	id    int

	// base is the task taken from the queue last. It stays when the task has
	// ended, since to clear it costs, until the next one or Rest.
	base atomic.Pointer[Task]
	done atomic.Int64 // tasks run, items of Map counted each

	mu     sync.Mutex
	nested []*Task // guarded by mu: tasks run on top of base, newest last

	waits []*wait // guarded by graph.mu: newest last
}

// Join adds a worker to the group, to be called before its goroutine starts,
// so that a queued task always has somebody to wait for. The id is for
// observers.
func (g *WorkerGroup) Join(id int) *Worker {
	w := &Worker{group: g, id: id}
	graph.mu.Lock()
	g.workers[w] = struct{}{}
	graph.mu.Unlock()
	return w
}

// Leave removes the worker. It must not be running a task.
func (w *Worker) Leave() {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	delete(w.group.workers, w)
	// Those who stay may all be blocked, and had relied on this one.
	w.group.rescueLocked()
}

// Group returns the group that the worker joined.
func (w *Worker) Group() *WorkerGroup { return w.group }

// ID returns the number given to Join.
func (w *Worker) ID() int { return w.id }

// Done returns the number of tasks that the worker has run, each item of a
// Map counting as one.
func (w *Worker) Done() int64 { return w.done.Load() }

// Run runs a task on the calling goroutine, which must be the worker's. It
// does nothing when the task is no longer waiting. A task that calls
// runtime.Goexit settles, and then ends the goroutine, so the executor must
// expect Run not to return.
func (w *Worker) Run(t *Task) {
	if !w.start(t) {
		return
	}
	w.base.Store(t)
	again := true // so it stays when run does not return
	defer func() {
		if again {
			w.again(t)
		}
	}()
	again = t.job.run(t)
}

// start takes a waiting task to running, unless its context has ended.
func (w *Worker) start(t *Task) bool {
	if t.ctx.parent.Err() != nil {
		t.fail(&neverStarted{context.Cause(t.ctx.parent)}, w)
		return false
	}
	if !t.move(pending, running) {
		return false
	}
	t.worker.Store(w)
	return true
}

// again gives a task that has more to do another turn. Its worker is unset
// first: whoever finds the task pending may start it, and sets it.
func (w *Worker) again(t *Task) {
	if t.state() != running {
		return // it settled, and then ended the goroutine
	}
	t.worker.Store(nil)
	if !t.move(running, pending) {
		return
	}
	// Whoever ends a Map: 1. ends its context, 2. cancels the tasks that are
	// pending. Here: 1. it is pending, 2. we look at the context.
	if t.ctx.parent.Err() != nil {
		t.fail(&neverStarted{context.Cause(t.ctx.parent)}, w)
		return
	}
	w.group.queue.Again(t)
}

// Rest is called by a worker that has no task to run and goes to sleep, so
// that it does not keep its last task's result alive.
func (w *Worker) Rest() { w.base.Store(nil) }

// runNested runs a waiting task of the worker's group on top of the task that
// waits. It reports whether the task was still waiting.
func (w *Worker) runNested(t *Task) bool {
	if !w.start(t) {
		return false
	}
	w.mu.Lock()
	w.nested = append(w.nested, t)
	w.mu.Unlock()
	again := true // so it stays when run does not return
	defer func() {
		w.mu.Lock()
		i := slices.Index(w.nested, t)
		w.nested = slices.Delete(w.nested, i, i+1)
		w.mu.Unlock()
		if again {
			w.again(t)
		}
	}()
	again = t.job.run(t)
	return true
}

// Tasks returns the tasks that the worker is running: the one it took from
// the queue and those it runs on top, newest last.
func (w *Worker) Tasks() []*Task {
	var tasks []*Task
	if t := w.base.Load(); t != nil && t.state() == running && t.worker.Load() == w {
		tasks = append(tasks, t)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return append(tasks, w.nested...)
}

// top returns the newest task on the worker's stack.
func (w *Worker) top() *Task {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.nested); n > 0 {
		return w.nested[n-1]
	}
	return w.base.Load()
}

// workerKey is the context key under which a task's context gives the task.
type workerKey struct{}

// WorkerOf returns the worker that runs the task to which ctx belongs, and nil
// when ctx belongs to none, or to one that has finished or runs elsewhere.
func WorkerOf(ctx context.Context) *Worker {
	w, _ := standing(ctx)
	return w
}

// standing returns the worker and the task that ctx marks, if any.
func standing(ctx context.Context) (*Worker, *Task) {
	switch v := ctx.Value(workerKey{}).(type) {
	case *Task:
		if w := v.worker.Load(); w != nil && v.state() == running {
			return w, v
		}
	case *callbackContext:
		if !v.over.Load() && v.worker != nil {
			return v.worker, v.task
		}
	}
	return nil, nil
}

// callbackContext is the context of a callback: the values of the context that
// OnDone was given, and the mark of the worker that settled the task, for as
// long as the callback runs. On any other goroutine it hides the mark that
// those values may carry.
type callbackContext struct {
	context.Context
	task   *Task
	worker *Worker
	over   atomic.Bool
}

func (c *callbackContext) Value(key any) any {
	if key == (workerKey{}) {
		return c
	}
	return c.Context.Value(key)
}
