package processes

import (
	"context"
	"errors"
	"slices"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
)

// Close implements [concert.Executor]. It returns nil, or the reason why the
// pool is broken.
func (p *Pool) Close() error {
	p.made()
	p.refuse(concert.ErrClosed)
	<-p.gone
	p.awaitLog()
	if p.closed != concert.ErrClosed {
		return p.closed
	}
	return nil
}

// logTime limits each of these waits: for one call of a log handler; for the
// text of the handler's panic; for the line that a handlerGuard writes to
// standard error; and, in Close and Shutdown, for the log records of the
// pool.
const logTime = time.Second

// awaitLog waits until the handler has handled all log records of the pool, but
// for logTime at most. p.gone must be closed, because the pool logs nothing
// after that.
func (p *Pool) awaitLog() {
	done := make(chan struct{})
	go func() {
		p.logging.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(logTime):
	}
}

// refuse makes the pool refuse new tasks. The parameter reason is their
// error.
func (p *Pool) refuse(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == nil {
		p.closed = reason
		p.queue.CloseLocked(reason)
	}
	p.checkEndLocked()
}

// checkGoneLocked closes the channel p.gone if the pool has ended and no
// worker is left.
func (p *Pool) checkGoneLocked() {
	if p.ended {
		p.stopPausesLocked()
	}
	if !p.ended || len(p.all) > 0 || p.starting > 0 {
		return
	}
	select {
	case <-p.gone:
	default:
		p.releaseAllLocked()
		close(p.gone)
	}
}

// Shutdown implements [concert.Executor]. If tasks still run when Options.Grace
// is over, Shutdown kills their workers. The error names these tasks.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.made()
	p.refuse(concert.ErrClosed)
	err := executor.Shutdown(ctx, p.gone, p.opts.Grace, p.cancelAll, func() []string { return p.killAll(context.Cause(ctx)) })
	if failure, ok := err.(*concert.ShutdownError); ok {
		failure.Canceled += p.killUntilGone(failure.Cause)
	}
	p.awaitLog()
	return err
}

// killUntilGone cancels all tasks and kills their workers until no worker is
// left. It returns the number of tasks that it has canceled before they
// started. It calls cancelAll repeatedly, because one call of cancelAll does
// not cancel the calls that workers are claiming at that moment.
func (p *Pool) killUntilGone(cause error) (notStarted int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.gone:
			return notStarted
		case <-tick.C:
			notStarted += p.cancelAll(cause)
			p.killAll(cause)
		}
	}
}

// cancelAll cancels all tasks, and returns the number of those that had not
// started.
func (p *Pool) cancelAll(cause error) (dropped int) {
	p.mu.Lock()
	queue := p.queue.DrainLocked()
	var batches []*executor.Batch
	for _, s := range p.returned {
		batches = append(batches, s.batch)
	}
	// Cancel the running calls last. Otherwise a worker would begin its next
	// call when a canceled call ends.
	var running []*executor.Batch
	for w := range p.all {
		for f := range w.frames.all {
			switch {
			case f.clock != nil && f.clock.cancelSent:
			case f.begunLocked(w) > f.settled:
				running = append(running, f.batch)
			default:
				batches = append(batches, f.batch)
			}
		}
	}
	slices.Reverse(batches)
	batches = append(batches, running...)
	p.mu.Unlock()
	for _, t := range queue {
		if t.Cancel(cause) {
			dropped++
		}
	}
	for _, b := range batches {
		if b.Cancel(cause) {
			dropped++
		}
	}
	dropped += p.group.CancelUserCode(cause)
	p.mu.Lock()
	p.checkEndLocked()
	p.mu.Unlock()
	return dropped
}

// killAll kills the workers that have calls and the leaving workers. It returns
// the names of the running tasks. It does not kill idle workers, because the
// pool would replace them, and would be broken after eight such deaths.
func (p *Pool) killAll(cause error) (running []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.all {
		if w.count == 0 && w.state != leaving {
			continue
		}
		for f := range w.runningLocked {
			running = append(running, f.batch.Name)
		}
		w.killLocked(lazy.Errorf("shutdown: %w", cause))
	}
	return append(running, p.group.UserCode()...)
}

// breakLocked is called when the pool cannot start workers. It marks the
// pool as broken, and fails its tasks.
func (p *Pool) breakLocked(reason error) {
	err := lazy.Errorf("%w: %w", ErrBroken, reason)
	if p.closed == nil || errors.Is(p.closed, concert.ErrClosed) {
		p.closed = err
		p.queue.CloseLocked(err)
	}
	p.broken = err
	queue, ranges := p.queue.DrainLocked(), p.returned
	p.returned = nil
	p.logging.Add(1)
	go func() { // loggers and tasks call user code
		p.logger().Error("processes: the pool is broken", "reason", executor.ErrorText(reason))
		p.logging.Done()
		for _, t := range queue {
			t.Fail(err)
		}
	}()
	for _, s := range ranges {
		p.unwatchLocked(s.submitter)
	}
	p.failCallsLocked(ranges)
}

// failCallsLocked settles calls with the error of the broken pool. No worker
// will run these calls.
func (p *Pool) failCallsLocked(ranges []callRange) {
	err := p.broken
	go func() { // Settle may call user code
		n := 0
		for _, s := range ranges {
			for i := s.from; i < s.to; i++ {
				s.batch.Settle(i, -1, executor.Encoded{}, err)
			}
			n += s.len()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.countSettledLocked(n)
	}()
}
