package executor_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"concert"
	"concert/executor"
)

// Pool is an executor: n workers run the tasks of a bounded queue. A worker has
// a goroutine while there are tasks for it.
type Pool struct {
	queue   *executor.TaskQueue
	group   *executor.WorkerGroup
	size    int            // number of workers
	serving sync.WaitGroup // workers that are not idle
	grace   time.Duration  // for canceled tasks, in Shutdown

	mu   sync.Mutex         // also the mutex of the queue
	idle []*executor.Worker // guarded by mu
}

// NewPool returns a pool of n workers with a queue of size tasks.
func NewPool(n, size int, grace time.Duration, observer executor.Observer) *Pool {
	p := &Pool{size: n, grace: grace}
	p.queue = executor.NewTaskQueue(&p.mu, size, p.startLocked)
	p.group = executor.NewWorkerGroup(p.queue, observer)
	for i := range n {
		p.idle = append(p.idle, p.group.Join(i))
	}
	return p
}

// Width returns the number of workers.
func (p *Pool) Width() int { return p.size }

// Stats returns the numbers of the workers and the tasks.
func (p *Pool) Stats() executor.Stats { return p.group.Stats() }

// Watch adds an observer.
func (p *Pool) Watch(o executor.Observer) (stop func()) { return p.group.Watch(o) }

// Execute puts a task into the queue when the queue has room.
func (p *Pool) Execute(ctx context.Context, t *executor.Task) error {
	p.group.Adopt(t)
	return p.queue.Push(ctx, p.group, t)
}

// startLocked starts an idle worker, if there is one. The queue calls it for
// each new task.
func (p *Pool) startLocked() {
	if len(p.idle) > 0 {
		w := p.idle[0]
		p.idle = p.idle[1:]
		p.serving.Go(func() { p.serve(w) })
	}
}

// serve runs tasks on a worker until the queue is empty.
func (p *Pool) serve(w *executor.Worker) {
	defer func() { // runs even if a task calls runtime.Goexit
		w.Drain()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.idle = append(p.idle, w)
		if p.queue.LenLocked() > 0 {
			p.startLocked()
		}
	}()
	w.Serve(p.queue.Next)
}

// Close refuses new tasks, and waits for the accepted ones.
func (p *Pool) Close() error { return p.Shutdown(context.Background()) }

// Shutdown does the same as Close, but cancels the remaining tasks when ctx
// ends.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.queue.Close(executor.ErrClosed)
	if p.group.Within(ctx) {
		return fmt.Errorf("pool: closed by one of its tasks: %w", executor.ErrDeadlock)
	}
	done := make(chan struct{})
	go func() { p.serving.Wait(); close(done) }()
	return p.group.Shutdown(ctx, done, p.grace)
}

// A complete executor: a pool of n workers with a bounded queue. It passes the
// suite of package executortest. The tasks of the example wait for tasks of the
// same pool, in more levels than the pool has workers.
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
