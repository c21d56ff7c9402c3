package executor

import (
	"sync"
	"sync/atomic"

	"concert/internal/lazy"
)

// A Task is a unit of work as an executor sees it. Its function, its submitter
// and its types are hidden. An executor keeps it in a queue, and then either
// runs it on a [Worker] or fails it.
//
// The task of a Submit, its future, its argument and the context given to the
// function are one object, so a Submit needs one allocation. The task of a Map
// runs a varying number of items, and may then return to the end of the queue
// (see [Queue]), so that a long Map does not delay all other tasks.
type Task struct {
	ctx lazy.Context // its parent is the submitter's context

	// group is the group of the executor. The first Adopt sets it, before
	// another goroutine can find the task pending.
	group *WorkerGroup

	// carrier is the carrier that runs the task. The carrier sets this field
	// just after it has set the state running. Between these two steps, the
	// search for deadlocks treats the task as running outside of the graph.
	carrier atomic.Pointer[carrier]

	// status holds the number of the task (0 unless observed) in its upper 56
	// bits, then the watched bit, then the state. The permitted transitions:
	//
	//	pending --> running --> finished                        on a local executor
	//	pending --> copying --> claimed --> running --> finishing --> finished
	//	                                                        on a remote executor
	//	pending --> copying --> encoding --> copying --> pending    user code encodes the argument
	//	claimed --> encoding                                    the argument is large
	//	pending, encoding, claimed --> settling --> canceled    not run
	//	running --> pending                                     a Map's task, at the end of its turn
	//	running --> idle --> pending                            a Map's task, until there is input
	//
	// The goroutine that moves a task out of pending, claimed or running owns
	// it until the next transition. In the short states copying, settling and
	// finishing, the owner reads the argument or writes the outcome.
	// Future.State returns the same for each of them as for the state before
	// it. An outcome is written before finished or canceled is stored, and read
	// only after one of them was loaded.
	status atomic.Uint64

	mu       sync.Mutex // guards watchers, and the watched bit
	watchers *watcher   // newest first

	job job      // set before another goroutine has the task
	fn  identity // the function, for its name; set at the same time as job
}

// job is what a task does: a call or a runner of a Map.
type job interface {
	// run does the work and reports whether the task needs another turn. If run
	// ends the goroutine and the task is still running, the task needs another
	// turn as well.
	run(*Task) (again bool)
	// function returns the name under which the function is registered, or "".
	function(*Task) string
	// interrupt cancels the context of a running task.
	interrupt(*Task, error)
	// claim implements Task.Claim.
	claim(t *Task, most, size int) (batch *Batch, again bool)
	// drop settles the task with an error instead of running it. The caller has
	// moved the task to settling. The carrier is the one whose goroutine calls
	// drop, or nil.
	drop(*Task, error, *carrier)
}

const (
	pending uint64 = iota
	idle
	encoding
	copying
	claimed
	settling
	running
	finishing
	finished
	canceledState

	stateMask = 0x7f
	watched   = 0x80
	idShift   = 8
)

func (t *Task) state() uint64 { return t.status.Load() & stateMask }

// Settled reports whether the task has an outcome.
func (t *Task) Settled() bool { return t.state() >= finished }

// move changes the state of the task. It returns false if the task was not in
// the state that the parameter from names.
func (t *Task) move(from, to uint64) bool {
	for {
		w := t.status.Load()
		if w&stateMask != from {
			return false
		}
		if t.status.CompareAndSwap(w, w&^stateMask|to) {
			return true
		}
	}
}

// settle moves the task to finished or canceled, and notifies the watchers. The
// caller owns the task and has written the outcome. s is the carrier whose
// goroutine calls, or nil.
func (t *Task) settle(to uint64, s *carrier) {
	for {
		status := t.status.Load()
		if status&watched != 0 {
			break
		}
		if t.status.CompareAndSwap(status, status&^stateMask|to) {
			return
		}
	}
	t.mu.Lock()
	// From now on, only the method watch changes the status, and it needs the
	// lock.
	t.status.Store(t.status.Load()&^(stateMask|watched) | to)
	list := t.watchers
	t.watchers = nil
	t.mu.Unlock()
	t.notify(list, s)
}

// Waiting reports whether an executor has the task and has neither started nor
// settled it.
func (t *Task) Waiting() bool { s := t.state(); return s < running && s != idle }

// Name is the name of the task's function: the registered name, or else the
// name that package runtime returns.
func (t *Task) Name() string {
	if r, ok := t.job.(*relay); ok {
		return r.is.Name
	}
	return t.fn.name()
}

// Function returns the name under which the task's function is registered or
// declared, or "" if it is neither. Execute may call it before another
// goroutine has the task.
func (t *Task) Function() string { return t.job.function(t) }
