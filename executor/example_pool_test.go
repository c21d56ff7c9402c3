package executor_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// Pool is an executor: n workers run the tasks of a bounded queue. A worker has
// a goroutine while there are tasks for it. Pool implements [executor.Executor]
// and also its [executor.Queue].
type Pool struct {
	group   *executor.WorkerGroup
	workers []*executor.Worker // the State of each is the ID of its goroutine
	serving sync.WaitGroup     // workers that are not idle
	grace   time.Duration      // after Shutdown has canceled the tasks
	room    chan struct{}      // one element for each free slot of the queue

	mu     sync.Mutex
	queue  []entry            // guarded by mu
	idle   []*executor.Worker // guarded by mu
	closed bool               // guarded by mu
}

// entry is a task in the queue. A task uses no slot after Again.
type entry struct {
	task *executor.Task
	slot bool
}

// NewPool returns a pool of n workers with a queue of size tasks.
func NewPool(n, size int, grace time.Duration, observer executor.Observer) *Pool {
	p := &Pool{room: make(chan struct{}, size), grace: grace}
	p.group = executor.NewWorkerGroup(p, observer)
	for i := range n {
		p.workers = append(p.workers, p.group.Join(i))
	}
	p.idle = slices.Clone(p.workers)
	for range size {
		p.room <- struct{}{}
	}
	return p
}

// Width returns the number of workers.
func (p *Pool) Width() int { return len(p.workers) }

// Execute puts a task into the queue when that has room.
func (p *Pool) Execute(ctx context.Context, t *executor.Task) (err error) {
	p.group.Adopt(t)
	select {
	case <-p.room: // even if ctx has ended
	default:
		err = p.group.WaitRoom(ctx, p.room)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return executor.ErrClosed
	}
	if err == nil {
		p.pushLocked(entry{t, true})
	}
	return err
}

// Again puts the task of a Map back into the queue. The task needs no room,
// because a worker calls Again, and must not wait.
func (p *Pool) Again(t *executor.Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		go t.Fail(executor.ErrClosed) // calls user code: not with mu held
		return
	}
	// If a task that waited for t has run it, the queue still has t.
	p.removeLocked(func(queued *executor.Task) bool { return queued == t })
	p.pushLocked(entry{t, false})
}

// Next removes the first task from the queue and returns it.
func (p *Pool) Next() *executor.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil
	}
	e := p.queue[0]
	p.queue = p.queue[1:]
	p.freeLocked(e)
	return e.task
}

// Dropped removes the tasks that were canceled, or run by a task that waits for
// them.
func (p *Pool) Dropped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(func(t *executor.Task) bool { return !t.Waiting() })
}

// Withdraw is never called, because the pool claims no calls.
func (p *Pool) Withdraw(*executor.Task) bool { return true }

// pushLocked puts a task into the queue, and starts a worker.
func (p *Pool) pushLocked(e entry) {
	p.queue = append(p.queue, e)
	p.startLocked()
}

// removeLocked removes the tasks for which gone is true.
func (p *Pool) removeLocked(gone func(*executor.Task) bool) {
	p.queue = slices.DeleteFunc(p.queue, func(e entry) bool {
		if !gone(e.task) {
			return false
		}
		p.freeLocked(e)
		return true
	})
}

// freeLocked frees the slot of an entry that leaves the queue.
func (p *Pool) freeLocked(e entry) {
	if e.slot && !p.closed {
		p.room <- struct{}{}
	}
}

// startLocked starts an idle worker if there is one and the queue has a task.
func (p *Pool) startLocked() {
	if len(p.idle) > 0 && len(p.queue) > 0 {
		w := p.idle[0]
		p.idle = p.idle[1:]
		p.serving.Go(func() { p.serve(w) })
	}
}

// serve runs tasks on a worker until the queue is empty.
func (p *Pool) serve(w *executor.Worker) {
	p.mu.Lock()
	w.State = goroutineID()
	p.mu.Unlock()
	defer func() { // also when a task calls runtime.Goexit
		w.Drain()
		p.mu.Lock()
		defer p.mu.Unlock()
		w.State = nil
		p.idle = append(p.idle, w)
		p.startLocked()
	}()
	for t := p.Next(); t != nil; t = p.Next() {
		w.Run(t)
	}
}

// Close waits for all tasks.
func (p *Pool) Close() error { return p.Shutdown(context.Background()) }

// Shutdown waits for all tasks, but cancels them when ctx ends.
func (p *Pool) Shutdown(ctx context.Context) error {
	if p.refuse() {
		return fmt.Errorf("pool: closed by one of its tasks: %w", executor.ErrDeadlock)
	}
	done := make(chan struct{})
	go func() { p.serving.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	failure := &executor.ShutdownError{Cause: context.Cause(ctx)}
	for t := p.Next(); t != nil; t = p.Next() {
		if t.Cancel(failure.Cause) {
			failure.Canceled++
		}
	}
	for grace := time.After(p.grace); ; {
		var running []string
		for _, w := range p.workers {
			for _, t := range w.Tasks() {
				t.Cancel(failure.Cause)
				running = append(running, t.Name())
			}
		}
		select {
		case <-done:
			return failure
		case <-grace:
			failure.Running = running
			return failure
		case <-time.After(10 * time.Millisecond): // a worker may just begin a task
		}
	}
}

// refuse closes the queue. It reports whether a task of the pool calls it.
func (p *Pool) refuse() (within bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.closed = true
		close(p.room) // ends all WaitRoom
	}
	id := goroutineID()
	return slices.ContainsFunc(p.workers, func(w *executor.Worker) bool {
		return w.State == id || w.Busy() && executor.Compensating()
	})
}

// goroutineID returns "goroutine 7 " on the goroutine with that number.
func goroutineID() string {
	var stack [32]byte
	id, _, _ := bytes.Cut(stack[:runtime.Stack(stack[:], false)], []byte("["))
	return string(id)
}

// A complete executor: a pool of n workers with a bounded queue. It passes the
// suite of package executortest. The tasks of the example wait for tasks of
// their own pool, deeper than the pool has workers.
func Example() {
	pool := NewPool(2, 16, time.Second, nil)
	defer pool.Close()
	var fibonacci func(ctx context.Context, n int) (int, error)
	fibonacci = func(ctx context.Context, n int) (int, error) {
		if n < 2 {
			return n, nil
		}
		a := concert.Submit(ctx, pool, fibonacci, n-1)
		b := concert.Submit(ctx, pool, fibonacci, n-2)
		results, err := concert.Gather(ctx, a, b)
		if err != nil {
			return 0, err
		}
		return results[0] + results[1], nil
	}
	ctx := context.Background()
	fmt.Println(concert.Submit(ctx, pool, fibonacci, 10).Result(ctx))
	// Output: 55 <nil>
}
