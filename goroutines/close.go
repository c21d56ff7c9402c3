package goroutines

import (
	"context"
	"fmt"

	"concert"
	"concert/executor"
)

// Close implements [concert.Executor]. The pool refuses new tasks, and its
// goroutines end when all tasks are done. A task or a callback of the pool
// that calls Close would wait for itself. In this case, Close immediately
// returns an error that wraps [concert.ErrDeadlock]. Otherwise it returns
// nil.
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

// cancelAll cancels Init and all tasks, and returns the number of tasks that
// had not started.
func (p *Pool) cancelAll(cause error) (notStarted int) {
	p.cancelInit(cause)
	return p.group.CancelAll(cause)
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

// endLocked closes p.gone when the pool is closed and has no workers.
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
