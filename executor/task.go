package executor

import (
	"context"
	"reflect"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"concert/internal/lazy"
)

// A Task is a unit of work as an executor sees it. Its function, its submitter
// and its types are hidden. An executor keeps it in a queue, and then either
// runs it on a [Worker] or fails it.
//
// The task of a Submit, its future, its argument and the context of its
// function are one object, so a Submit needs one allocation. The task of a
// Map runs a varying number of items. Then it may return to the end of the
// queue (see [Queue]), so that a long Map does not delay all other tasks.
type Task struct {
	ctx lazy.Context // its parent is the submitter's context

	// group is the group of the executor. The first Adopt sets it, before
	// another goroutine can find the task pending.
	group *WorkerGroup

	// carrier is the carrier that runs the task. The carrier sets this field
	// just after it has set the state running. Between these two steps, the
	// search for deadlocks assumes that the task runs outside of the graph.
	carrier atomic.Pointer[carrier]

	// status holds the number of the task (0 unless observed) in its upper 56
	// bits, then the bits watched, ofMap and refused, then the state. The
	// permitted transitions:
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
	// finishing, the owner reads the argument or writes the outcome. In each
	// of these states, Future.State returns the same as in the state before.
	// An outcome is written before finished or canceled is stored, and read
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
	// drop settles the task with an error instead of running it. The caller
	// has moved the task to settling. The third argument is the carrier whose
	// goroutine calls drop, or nil.
	drop(*Task, error, *carrier)
	// setTrace stores the text that remote workers receive with the call.
	setTrace(trace string)
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

	stateMask = 0x0f
	refused   = 0x20 // an executor has refused the task
	ofMap     = 0x40 // the task runs items of a Map
	watched   = 0x80 // the task has watchers
	idShift   = 8
)

func (t *Task) state() uint64 { return t.status.Load() & stateMask }

// Settled reports whether the task has an outcome.
func (t *Task) Settled() bool { return t.state() >= finished }

// move changes the state of the task from old to next. If the state is not old,
// move changes nothing and returns false.
func (t *Task) move(old, next uint64) bool {
	for {
		w := t.status.Load()
		if w&stateMask != old {
			return false
		}
		if t.status.CompareAndSwap(w, w&^stateMask|next) {
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
	// From now on, only t.watch changes the status, and it needs the lock.
	t.status.Store(t.status.Load()&^(stateMask|watched) | to)
	list := t.watchers
	t.watchers = nil
	t.mu.Unlock()
	t.notify(list, s)
}

// Waiting reports whether an executor has accepted the task and has neither
// started nor settled it.
func (t *Task) Waiting() bool { s := t.state(); return s < running && s != idle }

// Adopt adds a task to the group and calls the observer. Execute must call it
// first, before it acquires any lock.
func (g *WorkerGroup) Adopt(t *Task) {
	if t.group == nil {
		t.group = g
	}
	if t.move(idle, pending) {
		return // the task of a Map that returns with new inputs
	}
	if g.observers.Load() != nil {
		t.observe(TaskSubmitted, nil)
	}
	if g.remote != nil && tracing.Load() != nil && t.status.Load()&ofMap == 0 {
		t.job.setTrace(inject(t.ctx.Parent, t.status.Load()>>idShift))
	}
}

// Name returns the name of the task's function: the registered name, or else
// the name that package runtime returns.
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

// identity identifies the function that a task calls, to find the name of the
// function. It does not prevent the garbage collector from freeing the
// function.
type identity struct {
	value uintptr // the function value, as valuePointer returns it
	code  uintptr // address of the code of the function
}

func identityOf[F any](fn F) identity {
	return identity{uintptr(valuePointer(fn)), codePointer(fn)}
}

// codePointer returns the address at which the code of a function starts.
func codePointer(fn any) uintptr { return reflect.ValueOf(fn).Pointer() }

// valuePointer returns the function value as a pointer: the address of the
// closure, or of the function's entry in the program's data. Two closures with
// the same code have different addresses while both are reachable.
func valuePointer[F any](fn F) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&fn)) }

var lastNumber atomic.Uint64

// number assigns the next number to the task.
func (t *Task) number() {
	n := lastNumber.Add(1) << idShift
	for {
		w := t.status.Load()
		if t.status.CompareAndSwap(w, n|w&(1<<idShift-1)) {
			return
		}
	}
}

// observers returns the observers of the task's executor, or nil. It also
// returns the number of the local worker that runs the task, or -1.
func (t *Task) observers() (observers, int) {
	if t.group == nil {
		return nil, -1
	}
	list := t.group.observers.Load()
	if list == nil {
		return nil, -1
	}
	if s := t.carrier.Load(); s != nil {
		return *list, s.worker.id
	}
	return *list, -1
}

// numbered reports whether the task has a number for its next event, which
// is of the given kind. A task without a number gets one if the event is
// TaskSubmitted or TaskStarted. If a later event finds no number, the task
// had started before the first observer was added. Observers receive no
// events of such a task.
func (t *Task) numbered(kind EventKind) bool {
	if t.status.Load()>>idShift != 0 {
		return true
	}
	if kind > TaskStarted {
		return false
	}
	t.number()
	return true
}

// observe calls the observers with an event of the task.
func (t *Task) observe(kind EventKind, err error) {
	if list, id := t.observers(); list != nil && t.numbered(kind) {
		list.call(t.event(kind, id, err))
	}
}

// observeOn does the same as Task.observe, on a goroutine that does not belong
// to a task. remote is the number of the remote worker that runs the task, or
// -1.
func (t *Task) observeOn(remote int, kind EventKind, err error) {
	if list, id := t.observers(); list != nil && t.numbered(kind) {
		list.callIsolated(t.event(kind, max(id, remote), err))
	}
}

func (t *Task) event(kind EventKind, worker int, err error) Event {
	return Event{Kind: kind, Task: t.status.Load() >> idShift, Name: t.Name(), Input: t.input(), Worker: worker, Time: time.Now(), Err: err, Context: t.ctx.Parent}
}

func (t *Task) progress(done, total int64) {
	if list, id := t.observers(); list != nil && t.state() == running && t.numbered(TaskProgress) {
		e := t.event(TaskProgress, id, nil)
		e.Done, e.Total = done, total
		list.call(e)
	}
}

// callFunction calls the task's function, under the lock of the task's group if
// there is one.
func callFunction[In, Out any](t *Task, ctx context.Context, fn func(context.Context, In) (Out, error), in In) (Out, error) {
	if trace.IsEnabled() {
		return callTraced(t, ctx, fn, in)
	}
	if t.group == nil || t.group.Lock == nil {
		return fn(ctx, in)
	}
	return underLock(t.group.Lock, ctx, fn, in)
}
