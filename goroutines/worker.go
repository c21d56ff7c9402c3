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

// worker is one goroutine of a pool, or several in turn: a task that calls
// runtime.Goexit ends one, and another takes over.
type worker struct {
	*executor.Worker
	pool *Pool
	wake chan struct{} // room for one; a token means: look at the queue
}

// rouse wakes a worker that sleeps, and does nothing for nil.
func (w *worker) rouse() {
	if w != nil {
		w.wake <- struct{}{}
	}
}

// startWorker adds a worker. The caller holds mu.
func (p *Pool) startWorker() {
	id := len(p.workers)
	if n := len(p.free); n > 0 {
		id = p.free[n-1]
		p.free = p.free[:n-1]
	}
	w := &worker{p.group.Join(id), p, make(chan struct{}, 1)}
	p.workers = append(p.workers, w)
	p.staffed.Add(1)
	go w.work(true)
}

// work is the goroutine of a worker; fresh says that it is its first.
func (w *worker) work(fresh bool) {
	p := w.pool
	finished := false
	id := goroutineID()
	p.mu.Lock()
	p.goroutines[id] = struct{}{}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.goroutines, id)
		p.mu.Unlock()
		if !finished {
			go w.work(false) // a task ended this goroutine
		}
	}()
	if p.opts.LockOSThread {
		runtime.LockOSThread() // never undone: the thread ends with the goroutine
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("concert", p.opts.Name)))
	if fresh && p.opts.Init != nil {
		w.init()
	}
	for {
		t := w.take()
		if t == nil {
			break
		}
		w.Run(t)
	}
	finished = true
}

// take returns the next task, sleeping until there is one, or nil when the
// worker has left. It locks the pool only to sleep and to leave.
func (w *worker) take() *executor.Task {
	p := w.pool
	if p.staffed.Load() <= p.target.Load() {
		if t := p.pop(); t != nil {
			return t
		}
	}
	for roused := false; ; {
		t, next, what := w.look(roused)
		next.rouse()
		switch what {
		case run, leave:
			return t
		case drain:
			w.Drain()
		case sleep:
			w.Rest()
			<-w.wake
			if !w.TryResume() {
				// A compensating carrier holds it, perhaps for long: another
				// idle worker is as good.
				p.mu.Lock()
				p.waking = false
				if p.queue.len() > 0 {
					p.summon().rouse()
				}
				p.mu.Unlock()
				w.Resume()
			}
			roused = true
		}
	}
}

// What a worker that looked is to do.
type todo int

const (
	run   todo = iota // the task
	sleep             // it is among the idle
	leave             // it is no longer among the workers
	drain             // and look again
)

// look looks for a task with the pool locked, and otherwise puts the worker
// among the idle or lets it leave. next is a worker to rouse.
func (w *worker) look(roused bool) (t *executor.Task, next *worker, what todo) {
	p := w.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if roused {
		p.waking = false
	}
	if len(p.workers) > int(p.target.Load()) {
		if p.queue.len() > 0 {
			next = p.summon() // w may have been woken for it
		}
		if w.Busy() {
			return nil, next, drain
		}
		w.leave()
		return nil, next, leave
	}
	for {
		p.makeRoom() // first, so as not to fall asleep beside a line
		if t = p.queue.pop(); t == nil || t.Waiting() {
			break
		}
	}
	switch {
	case t != nil:
		p.makeRoom()
		if p.queue.len() > 0 {
			next = p.summon()
		}
		return t, next, run
	case p.closed != nil && w.Busy():
		return nil, nil, drain
	case p.closed != nil:
		w.leave()
		return nil, nil, leave
	}
	p.idle = append(p.idle, w)
	return nil, nil, sleep
}

// leave removes the worker from the pool. The caller holds mu.
func (w *worker) leave() {
	p := w.pool
	w.Leave()
	i := slices.Index(p.workers, w)
	p.workers = slices.Delete(p.workers, i, i+1)
	p.staffed.Add(-1)
	p.free = append(p.free, w.ID())
	p.left += w.Done()
	p.endLocked()
}

// init makes the worker's state, or breaks the pool.
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

// Error has the value and the stack.
func (e *initPanic) Error() string {
	text := strings.TrimPrefix(e.PanicError.Error(), "concert: task panicked: ")
	return "initializer panicked: " + text + "\n" + e.Stack()
}

// breakDown makes the pool fail everything.
func (p *Pool) breakDown(reason error) {
	err := lazy.Errorf("goroutines: no worker: %w", reason)
	p.refuse(err)
	for t := p.popLocking(); t != nil; t = p.popLocking() {
		t.Fail(err)
	}
}
