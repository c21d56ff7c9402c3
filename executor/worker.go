package executor

import (
	"context"
	"sync"
	"sync/atomic"
)

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
	tasks atomic.Int64 // number of tasks of Submits that the worker has run
	items atomic.Int64 // number of items of Maps that the worker has run

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
// goroutines may call Serve one after another. id is the number of the worker
// that observers receive.
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

// Leave removes the worker from the group. An executor calls it to reduce
// the number of its workers. The worker must run no task and not be Busy:
// call Drain first. An executor that closes need not call Leave after its
// tasks have settled.
func (w *Worker) Leave() {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	delete(w.group.workers, w)
	w.group.left.tasks += w.tasks.Load()
	w.group.left.items += w.items.Load()
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

// Rest releases a worker that has no task to run. The worker calls Rest before
// it sleeps. When the worker wakes, it calls Resume before it takes a task.
// Without Rest, compensating carriers could not acquire the worker while it
// sleeps. A worker that calls Drain before it sleeps needs no Rest.
func (w *Worker) Rest() {
	w.main.base.Store(nil) // so that the carrier does not keep the result of the last task alive
	w.main.slept = true
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

// TryResume does the same as Resume, but returns false instead of blocking.
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

// ID returns the number that was passed to Join.
func (w *Worker) ID() int { return w.id }

// Done returns the number of tasks that the worker has run. Each item of a Map
// counts as one task.
func (w *Worker) Done() int64 { return w.tasks.Load() + w.items.Load() }

// Serve runs tasks on the calling goroutine. It gets each task from next, until
// next returns nil. It ignores a task that is no longer waiting. If a task
// calls runtime.Goexit, it settles, and then the goroutine ends. So Serve may
// not return: then a deferred function, or another goroutine, must continue
// with the worker, and call Serve again.
func (w *Worker) Serve(next func() *Task) {
	w.goroutine.Store(goroutineID())
	defer w.goroutine.Store(0)
	w.main.slept = true
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

// carrier is a goroutine that runs tasks for a worker. The main carrier of a
// worker is the goroutine that calls Serve. While all tasks that the worker has
// started are blocked, a compensating carrier may hold the worker and run the
// next task of the queue. When the wait of a carrier ends, the carrier acquires
// the worker again, as soon as the holder blocks or has finished its task.
//
//	carrier:  running --block--> suspended --wait ends--> resuming --granted--> running
//	worker:     held              released                 ticket                held
//
// A carrier has a stack of tasks: at the bottom a task from the queue, and
// above it nested tasks. Each task of the stack waits for the task above it.
type carrier struct {
	worker *Worker

	// Used by the goroutine of the carrier only, in carrier.sample:
	begun uint32 // counts the tasks that the carrier has begun while tasks are short
	slept bool   // whether the worker has slept since it began a task that counted

	// base is the task from the queue. It stays set after the task has ended,
	// until the next task or Rest, because clearing it would cost time.
	base atomic.Pointer[Task]

	mu     sync.Mutex
	nested []*Task // guarded by mu: tasks that run on top of base, newest last

	suspended atomic.Bool // whether wait is not nil; changed with graph.mu held

	// Guarded by graph.mu:
	wait         *wait         // the wait that suspends the carrier; nil while it is not suspended
	ticket       *ticket       // requests the worker after the wait has ended; nil if the carrier needs no ticket
	further      []*wait       // waits of other goroutines with the task's context
	changed      chan struct{} // closed when wait ends; nil until a further wait needs it
	round        uint64        // number of the last search that reached the carrier
	dependencies dependencies  // what its waits depend on, in search number round
	dependents   []*carrier    // the carriers that wait for this one, in search number round
	runnable     bool          // result of search number round
	chain        uint64        // value of graph.chain when lastOf last visited the carrier
	last         *carrier      // the last carrier of the chain of waits that begins here, as lastOf has found it
	lastAt       uint64        // value of graph.resumed when last was stored

	ended atomic.Uint32 // number of tasks that have ended on the carrier; see descent
}

// start moves a pending task to running. It reports false if the submitter's
// context has ended, or the task was no longer pending.
func (s *carrier) start(t *Task) bool {
	if t.ctx.Parent.Err() != nil {
		t.fail(&neverStarted{context.Cause(t.ctx.Parent)}, s)
		return false
	}
	if !t.move(pending, running) {
		return false
	}
	t.carrier.Store(s)
	return true
}

// run runs a task from the queue.
func (s *carrier) run(t *Task) {
	if !s.start(t) {
		return
	}
	s.base.Store(t)
	again := true // stays true if the task ends the goroutine
	defer func() {
		if s.suspended.Load() {
			s.reclaim()
		}
		if again {
			s.again(t)
		}
	}()
	again = t.job.run(t)
}

// sample decides whether the carrier times the task that it begins now. It
// returns the number of tasks for which the time counts, or 0 if the carrier
// does not time the task.
func (s *carrier) sample() (weight int64) {
	st := s.worker.group.stats
	switch {
	case st == nil:
		return 0
	case !st.short.Load():
		return 1
	}
	step := uint32(1)
	if s.slept {
		s.slept, step = false, afterSleep
	}
	before := s.begun
	s.begun += step
	if (before^s.begun)/sampleEvery == 0 {
		return 0
	}
	return int64(sampleEvery / step)
}

// again puts a task that has more work back into the queue. It clears the
// task's carrier first: as soon as the task is pending, another carrier may
// start it and set the field.
func (s *carrier) again(t *Task) {
	if t.state() != running {
		return // the task settled before it ended the goroutine
	}
	t.carrier.Store(nil)
	if !t.move(running, pending) {
		return
	}
	// When a Map ends, it (1) ends its context, (2) cancels its pending tasks.
	// This function (1) makes the task pending, (2) checks the context. So at
	// least one of them cancels the task, whatever the order of these steps.
	if t.ctx.Parent.Err() != nil {
		t.fail(&neverStarted{context.Cause(t.ctx.Parent)}, s)
		return
	}
	s.worker.group.queue.Again(t)
}

// top returns the task that started last on the carrier. The other tasks of the
// carrier wait for this task, directly or indirectly.
func (s *carrier) top() *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.nested); n > 0 {
		return s.nested[n-1]
	}
	return s.base.Load()
}
