package goroutines

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"concert"
	"concert/executor"
)

// Pool is an executor whose workers are goroutines. Its methods are safe for
// concurrent use. Make one with [New].
type Pool struct {
	opts  Options
	group *executor.WorkerGroup
	queue *executor.TaskQueue // its mutex is mu

	target      atomic.Int32 // the number of workers that Resize has set; changed with mu held
	workerCount atomic.Int32 // len(workers), to be read without mu; changed with mu held

	initCtx    context.Context // the context for Options.Init
	cancelInit context.CancelCauseFunc

	mu sync.Mutex

	// Guarded by mu:
	workers []*worker // all workers that have not left
	idle    []*worker // the workers that sleep; the last one has slept for the shortest time
	waking  bool      // whether a worker was woken and has not looked at the queue yet
	free    []int     // the numbers of workers that have left, for reuse
	left    int64     // number of tasks that were run by workers that have left
	closed  bool      // the queue is closed

	gone chan struct{} // closed when the pool is closed and has no workers
}

// mustExist panics if the Pool is nil, or was not created by New.
func (p *Pool) mustExist() {
	if p == nil || p.group == nil {
		panic("goroutines: the Pool is nil or zero: make it with New")
	}
}

// Execute implements [concert.Executor].
func (p *Pool) Execute(ctx context.Context, t *executor.Task) error {
	p.mustExist()
	p.group.Adopt(t)
	return p.queue.Push(ctx, p.group, t)
}

// wakeLocked wakes a worker for a task in the queue. If none sleeps and there
// are fewer workers than the field target says, it starts one. Workers are
// woken one at a time: a woken worker takes a task, and wakes the next worker
// if the queue has more tasks.
func (p *Pool) wakeLocked() {
	if n := len(p.idle); n > 0 {
		if p.waking {
			return
		}
		p.waking = true
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		w.wakeUp()
		return
	}
	if len(p.workers) < int(p.target.Load()) {
		p.startWorkerLocked()
	}
}

// Width implements [concert.Executor]: it returns the number of workers.
func (p *Pool) Width() int {
	p.mustExist()
	return int(p.target.Load())
}

// Resize changes the number of workers to n. New workers start when there are
// tasks for them. Surplus workers end when their task ends. Resize panics if n
// is below 1.
func (p *Pool) Resize(n int) {
	if n < 1 {
		panic(fmt.Sprintf("goroutines: Resize: n is %d; it must be at least 1", n))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.Store(clampWorkers(n))
	for range min(p.queue.LenLocked()-len(p.idle), n-len(p.workers)) {
		p.startWorkerLocked()
	}
	surplus := min(len(p.workers)-n, len(p.idle))
	if surplus <= 0 {
		return
	}
	// The woken workers find that there are too many workers, and leave.
	for _, w := range p.idle[len(p.idle)-surplus:] {
		w.wakeUp()
	}
	p.idle = p.idle[:len(p.idle)-surplus]
}

// refuse makes the pool refuse new tasks with this reason. If the pool already
// refuses tasks, the earlier reason stays. Workers end when the queue is empty.
func (p *Pool) refuse(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		p.queue.CloseLocked(reason)
	}
	for _, w := range p.idle {
		w.wakeUp()
	}
	p.idle = nil
	p.endLocked()
}

// endLocked closes the channel gone when the pool is closed and has no workers.
func (p *Pool) endLocked() {
	if !p.closed || len(p.workers) > 0 {
		return
	}
	select {
	case <-p.gone:
	default:
		close(p.gone)
		p.cancelInit(nil)
	}
}

// Close implements [concert.Executor]. The pool refuses new tasks, and its
// goroutines end when all tasks are done. A task or a callback of the pool that
// calls Close would wait for itself. In this case, Close returns an error that
// wraps [concert.ErrDeadlock] at once. Otherwise it returns nil.
func (p *Pool) Close() error {
	p.mustExist()
	p.refuse(concert.ErrClosed)
	if p.group.Within(context.Background()) {
		return errWithin("Close")
	}
	<-p.gone
	return nil
}

// Shutdown implements [concert.Executor]. A task or a callback of the pool that
// calls Shutdown, or whose context is ctx, would wait for itself. In this case,
// Shutdown only makes the pool refuse new tasks, and returns an error that
// wraps [concert.ErrDeadlock].
func (p *Pool) Shutdown(ctx context.Context) error {
	p.mustExist()
	p.refuse(concert.ErrClosed)
	if p.group.Within(ctx) {
		return errWithin("Shutdown")
	}
	return executor.Shutdown(ctx, p.gone, p.opts.Grace, p.cancelAll, p.group.Running)
}

// errWithin is the error of a Close or Shutdown by a task or a callback of the
// pool itself.
func errWithin(method string) error {
	return fmt.Errorf("goroutines: %s in a task or a callback of the same pool: the pool refuses new tasks, and the call does not wait for the running ones: %w", method, concert.ErrDeadlock)
}

// cancelAll cancels Init and all tasks, and returns how many tasks had not
// started.
func (p *Pool) cancelAll(cause error) (notStarted int) {
	p.cancelInit(cause)
	return p.group.CancelAll(cause)
}

// Stats is a snapshot of a pool.
type Stats struct {
	Workers int   // the number of workers
	Idle    int   // the number of workers that sleep because there are no tasks
	Queued  int   // the number of tasks that wait for a worker
	Waiting int   // the number of submitters that wait for room in the queue
	Done    int64 // the number of tasks that have run since New; each item of a Map counts as one
}

// Stats returns a snapshot of the pool. All its numbers are from the same
// moment.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Stats{Workers: len(p.workers), Idle: len(p.idle), Done: p.left}
	s.Queued, s.Waiting = p.queue.StatsLocked()
	for _, w := range p.workers {
		s.Done += w.Done()
	}
	return s
}
