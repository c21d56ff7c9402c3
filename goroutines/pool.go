package goroutines

import (
	"context"
	"runtime"
	"runtime/pprof"
	"slices"
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

	// All goroutines read the fields above, and each Submit writes mu. If both
	// were in one cache line, a no-op Submit would take up to 10% longer.
	_ [64]byte

	mu sync.Mutex

	// Guarded by mu:
	workers []*worker // all workers that have not left
	idle    []*worker // the workers that sleep; the last element is the worker that began to sleep last
	waking  bool      // whether a worker was woken and has not looked at the queue yet
	free    []int     // the numbers of workers that have left, for reuse
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

// wakeLocked wakes a worker for a task in the queue. If none sleeps and
// there are fewer than p.target workers, it starts one. Workers are woken
// one at a time: if the queue has more tasks, a woken worker that has taken
// a task wakes the next worker.
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

// worker runs tasks of the pool on a goroutine. If a task ends this goroutine
// by runtime.Goexit, the worker continues on a new one.
type worker struct {
	*executor.Worker
	pool  *Pool
	ready bool          // whether Options.Init was called or is nil; only the goroutine of the worker uses it
	wake  chan struct{} // has a buffer for one; an element makes the worker look at the queue
}

// wakeUp wakes the worker, which sleeps.
func (w *worker) wakeUp() { w.wake <- struct{}{} }

// startWorkerLocked adds a worker to the pool, and starts its goroutine.
func (p *Pool) startWorkerLocked() {
	id := len(p.workers)
	if n := len(p.free); n > 0 {
		id = p.free[n-1]
		p.free = p.free[:n-1]
	}
	w := &worker{p.group.Join(id), p, p.opts.Init == nil, make(chan struct{}, 1)}
	p.workers = append(p.workers, w)
	p.workerCount.Add(1)
	go w.work()
}

// work is the goroutine of a worker.
func (w *worker) work() {
	finished := false
	defer func() {
		if !finished {
			go w.work() // a task ended this goroutine
		}
	}()
	if w.pool.opts.LockOSThread {
		runtime.LockOSThread() // there is no UnlockOSThread, so the thread ends with the goroutine
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("concert", w.pool.opts.Name)))
	w.Serve(w.take)
	finished = true
}

// take returns the next task. It sleeps until there is one. It returns nil when
// the worker has left the pool. It locks the pool only to sleep and to leave.
func (w *worker) take() *executor.Task {
	p := w.pool
	if !w.ready {
		w.ready = true
		w.init()
	}
	if p.workerCount.Load() <= p.target.Load() {
		if t := p.queue.Next(); t != nil {
			return t
		}
	}
	for woken := false; ; {
		t, what := w.look(woken)
		switch what {
		case run, leave:
			return t
		case drain:
			w.Drain()
		case sleep:
			w.Rest()
			<-w.wake
			if !w.TryResume() {
				// A compensating carrier may hold this worker for long. So wake
				// another idle worker for the task.
				p.mu.Lock()
				p.waking = false
				if p.queue.LenLocked() > 0 {
					p.wakeLocked()
				}
				p.mu.Unlock()
				w.Resume()
			}
			woken = true
		}
	}
}

// todo is what a worker does after a call of worker.look.
type todo int

const (
	run   todo = iota // run the task that look has returned
	sleep             // sleep; the worker is in Pool.idle
	leave             // end; the worker is no longer in Pool.workers
	drain             // call Drain, and then look again
)

// look locks the pool, and takes the next task from the queue. If there is
// none, it adds the worker to Pool.idle, or removes the worker from the pool.
func (w *worker) look(woken bool) (t *executor.Task, what todo) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if woken {
		p.waking = false
	}
	if len(p.workers) > int(p.target.Load()) {
		if p.queue.LenLocked() > 0 {
			p.wakeLocked() // w may have been woken for the task, which another worker must run now
		}
		if w.Busy() {
			return nil, drain
		}
		w.leaveLocked()
		return nil, leave
	}
	t = p.queue.NextLocked()
	switch {
	case t != nil:
		if p.queue.LenLocked() > 0 {
			p.wakeLocked()
		}
		return t, run
	case p.closed && w.Busy():
		return nil, drain
	case p.closed:
		w.leaveLocked()
		return nil, leave
	}
	p.idle = append(p.idle, w)
	return nil, sleep
}

// leaveLocked removes the worker from the pool.
func (w *worker) leaveLocked() {
	p := w.pool
	w.Leave()
	i := slices.Index(p.workers, w)
	p.workers = slices.Delete(p.workers, i, i+1)
	p.workerCount.Add(-1)
	p.free = append(p.free, w.ID())
	p.endLocked()
}

// Width implements [concert.Executor]: it returns the number of workers.
func (p *Pool) Width() int {
	p.mustExist()
	return int(p.target.Load())
}

// Stats implements [concert.Executor]. It counts only workers that the pool has
// started: the pool starts a worker only if there is a task for it.
func (p *Pool) Stats() concert.Stats {
	p.mustExist()
	return p.group.Stats()
}

// Watch implements [concert.Executor].
func (p *Pool) Watch(o concert.Observer) (stop func()) {
	p.mustExist()
	return p.group.Watch(o)
}
