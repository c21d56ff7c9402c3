package goroutines

import (
	"context"
	"errors"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

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
				// A compensating carrier holds this worker, perhaps for long.
				// So wake another idle worker for the task.
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

// todo is what a worker does after a call of the method look.
type todo int

const (
	run   todo = iota // run the task that the method look has returned
	sleep             // sleep; the worker is in Pool.idle
	leave             // end; the worker is no longer in Pool.workers
	drain             // call Drain, and then the method look again
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
	p.left += w.Done()
	p.endLocked()
}

// init calls Options.Init, and stores its result in State. If Init fails, the
// pool fails all tasks.
func (w *worker) init() {
	err := errors.New("initializer called runtime.Goexit")
	defer func() {
		if v := recover(); v != nil {
			err = &initPanic{executor.NewPanicError(v)}
		}
		if err != nil {
			w.pool.breakDown(err)
		}
	}()
	w.State, err = w.pool.opts.Init(w.pool.initCtx)
}

// initPanic is the error of an initializer that panicked.
type initPanic struct{ *concert.PanicError }

// Error returns a text with the value of the panic and the stack.
func (e *initPanic) Error() string {
	text := strings.TrimPrefix(e.PanicError.Error(), "concert: task panicked: ")
	return "initializer panicked: " + text + "\n" + e.Stack()
}

// breakDown makes the pool refuse new tasks, and fails the tasks of the queue.
func (p *Pool) breakDown(reason error) {
	err := lazy.Errorf("goroutines: no worker: %w", reason)
	p.refuse(err)
	for t := p.queue.Next(); t != nil; t = p.queue.Next() {
		t.Fail(err)
	}
}
