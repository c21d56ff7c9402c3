package executor

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"concert/internal/lazy"
)

// A Task is a unit of work as an executor sees it. Its function, its submitter
// and its types are hidden. An executor keeps it in a queue, and then either
// runs it on a [Worker] or fails it.
//
// The task of a Submit, its future, its argument and the context given to the
// function are one object, so a Submit needs one allocation. The task of a Map
// stands for as many items as there are when its turn comes. It may return to
// the end of the queue (see [Queue]), so that one long Map does not delay all
// other tasks.
type Task struct {
	ctx lazy.Context // its parent is the submitter's context

	// group is that of the executor that has the task, nil for Go. Written by
	// the first Adopt, before anyone else can find the task pending.
	group *WorkerGroup

	// strand runs the task. Set by the strand itself after it took the task
	// to running, so it may lag behind the state for an instant, which reads
	// as "not on a worker".
	strand atomic.Pointer[strand]

	// word holds the number of the task (0 unless observed) in its upper 56
	// bits, then the watched bit, then the state. The legal arrows:
	//
	//	pending --> running --> finished                        run here
	//	pending --> copying --> claimed --> running --> finishing --> finished
	//	                                                        run elsewhere
	//	pending --> copying --> encoding --> copying --> pending    user code encodes the argument
	//	claimed --> encoding                                    the argument is large
	//	pending, encoding, claimed --> settling --> canceled    dropped
	//	running --> pending                                     a Map's task, giving others a turn
	//	running --> idle --> pending                            a Map's task, until there is input
	//
	// Whoever takes a task out of pending, claimed or running owns it until
	// the next arrow. Copying, settling and finishing are the instants in
	// which the owner reads the argument or writes the outcome; outside they
	// read as the state before. Outcomes are written before finished or
	// canceled is stored, and read only after it was loaded.
	word atomic.Uint64

	mu       sync.Mutex // guards watchers, and the watched bit together with them
	watchers *watcher   // newest first

	job job      // set before another goroutine has the task
	fn  identity // the function, for its name; set at the same time as job
}

// job is what a task does: a call or a runner of a Map.
type job interface {
	// run does the work and reports whether the task wants another turn.
	// One that ended the goroutine, and left the task running, does.
	run(*Task) (again bool)
	// function is the name that its function has elsewhere, or "".
	function(*Task) string
	// interrupt cancels the context of a task that runs.
	interrupt(*Task, error)
	// claim hands out calls instead, for the caller of Task.Claim.
	claim(t *Task, most, size int) (batch *Batch, again bool)
	// drop settles the task with an error instead of running it. The
	// caller has taken the task to settling; it is on the goroutine of the
	// strand, if that is not nil.
	drop(*Task, error, *strand)
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

func (t *Task) state() uint64 { return t.word.Load() & stateMask }

// Settled reports whether the task has an outcome.
func (t *Task) Settled() bool { return t.state() >= finished }

// move takes the arrow from one state to another, unless the task is no
// longer in the first.
func (t *Task) move(from, to uint64) bool {
	for {
		w := t.word.Load()
		if w&stateMask != from {
			return false
		}
		if t.word.CompareAndSwap(w, w&^stateMask|to) {
			return true
		}
	}
}

// settle takes the last arrow, to finished or canceled, and notifies the
// watchers. The caller owns the task and has written the outcome. s is the
// strand whose goroutine this is, nil for any other goroutine.
func (t *Task) settle(to uint64, s *strand) {
	for {
		word := t.word.Load()
		if word&watched != 0 {
			break
		}
		if t.word.CompareAndSwap(word, word&^stateMask|to) {
			return
		}
	}
	t.mu.Lock()
	// Only watch changes the word now, and it needs the lock.
	t.word.Store(t.word.Load()&^(stateMask|watched) | to)
	list := t.watchers
	t.watchers = nil
	t.mu.Unlock()
	t.notify(list, s)
}

// Fail settles a task that the executor accepted and will not run. It reports
// whether the task was still waiting: one that started or settled is left as
// it is.
func (t *Task) Fail(err error) bool { return t.fail(err, nil) }

// fail is Fail on the goroutine of strand s, if not nil.
func (t *Task) fail(err error, s *strand) bool {
	if !t.move(pending, settling) && !t.move(encoding, settling) {
		return false
	}
	t.job.drop(t, err, s)
	return true
}

// Cancel asks the task to end. A task that has not started never starts; its
// error is ErrCanceled and cause (nil for none) to errors.Is. For a running
// task, Cancel cancels the context. It reports whether the task had not
// started.
func (t *Task) Cancel(cause error) bool {
	for {
		switch t.state() {
		case pending, encoding:
			if !t.Fail(&neverStarted{cause}) {
				continue
			}
			if t.group != nil {
				t.group.queue.Dropped()
			}
			return true
		case copying:
			runtime.Gosched() // for an instant
			continue
		case claimed:
			if !t.group.queue.Withdraw(t) {
				if cause == nil {
					cause = ErrCanceled
				}
				t.job.interrupt(t, cause)
				return false
			}
			if !t.move(claimed, settling) {
				continue
			}
			t.job.drop(t, &neverStarted{cause}, nil)
			t.group.queue.Dropped()
			return true
		case settling:
			return true
		case running:
			if cause == nil {
				cause = ErrCanceled
			}
			t.job.interrupt(t, cause)
		}
		return false
	}
}

// Waiting reports whether the task is an executor's and has been neither
// started nor dropped.
func (t *Task) Waiting() bool { s := t.state(); return s < running && s != idle }

// Name is the name of the task's function: the registered one, or else the
// one that package runtime knows.
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

// context returns the context that the task's function is given.
func (t *Task) context() context.Context { return (*taskContext)(t) }

// taskContext is a Task as the context of its own function. Under workerKey
// it gives the task, which marks the worker that runs it. Keys of this package
// are answered here, without a search of the parent contexts.
type taskContext Task

// Deadline returns the deadline of the submitter's context.
func (c *taskContext) Deadline() (time.Time, bool) { return c.ctx.Deadline() }

// Done returns a channel that is closed when the task has settled, or is
// canceled.
func (c *taskContext) Done() <-chan struct{} { return c.ctx.Done((*Task)(c).Settled) }

// Err is not nil when the task has settled, or is canceled.
func (c *taskContext) Err() error { return c.ctx.Err((*Task)(c).Settled()) }

// Value answers this package's keys, and asks the submitter's context for all
// others.
func (c *taskContext) Value(key any) any {
	switch key {
	case workerKey{}, numberKey{}:
		return (*Task)(c)
	case ownKey{}:
		return c
	case releaserKey{}, labelKey{}:
		return nil // the parents' values belong to the submitter
	}
	return c.ctx.Value(key)
}

// Source is for contexts below.
func (c *taskContext) Source() context.Context { return c.ctx.Source() }

// String names the function of the task.
func (c *taskContext) String() string { return "concert.Task(" + (*Task)(c).Name() + ")" }
