package goroutines

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"concert"
	"concert/executor"
)

// Pool is an executor whose workers are goroutines. Its methods are safe for
// concurrent use. Make one with [New].
type Pool struct {
	opts  Options
	group *executor.WorkerGroup

	target  atomic.Int32 // workers wanted; changed under mu
	staffed atomic.Int32 // len(workers); changed under mu
	lined   atomic.Int32 // submitters in line; changed under mu
	queue   queue        // tasks that wait for a worker, and stale ones

	initCtx    context.Context // for Init
	cancelInit context.CancelCauseFunc

	mu sync.Mutex

	// Guarded by mu:
	stale      int                 // about how many tasks in queue were dropped since
	line       line                // submitters that wait for room
	workers    []*worker           // all there are
	idle       []*worker           // those that sleep, the last to fall asleep last
	waking     bool                // one was woken and has not looked at the queue yet
	free       []int               // numbers of workers that left
	goroutines map[uint64]struct{} // the numbers of the workers' goroutines
	left       int64               // tasks that they ran
	closed     error               // why tasks are refused; nil if they are not

	gone chan struct{} // closed when the pool is closed and has no workers
}

// made panics if New has not made the Pool.
func (p *Pool) made() {
	if p == nil || p.group == nil {
		panic("goroutines: the Pool is nil or zero: make it with New")
	}
}

// Execute implements [concert.Executor].
func (p *Pool) Execute(ctx context.Context, t *executor.Task) error {
	p.made()
	p.group.Adopt(t)
	p.mu.Lock()
	if p.closed != nil {
		defer p.mu.Unlock()
		return p.closed
	}
	if p.line.first == nil && p.hasRoom() {
		p.push(t)
		return nil
	}
	e := &entry{task: t, in: make(chan struct{})}
	p.line.push(e)
	p.lined.Add(1)
	p.makeRoom() // there may be only stale tasks in the queue
	p.mu.Unlock()

	select {
	case <-e.in: // makeRoom found some
		return e.err
	default:
	}
	if err := p.group.WaitRoom(ctx, e.in); err != nil && p.leaveLine(e) {
		return err
	}
	<-e.in
	return e.err
}

// hasRoom reports whether the queue has room. The caller holds mu.
func (p *Pool) hasRoom() bool {
	if p.queue.len() >= p.opts.Queue && p.stale > 0 {
		p.compact()
	}
	return p.queue.len() < p.opts.Queue
}

// push puts a task into the queue and sees to it that a worker comes for it.
// It unlocks mu.
func (p *Pool) push(t *executor.Task) {
	p.queue.push(t)
	w := p.summon()
	p.mu.Unlock()
	w.rouse()
}

// summon picks the worker to rouse for a task in the queue, or starts one if
// there are fewer than wanted. Workers are woken one at a time: the one that
// wakes takes a task, and wakes the next if there are more. So summon returns
// nil if one is on its way. The caller holds mu, and rouses the worker after
// unlocking it.
func (p *Pool) summon() *worker {
	if n := len(p.idle); n > 0 {
		if p.waking {
			return nil
		}
		p.waking = true
		w := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return w
	}
	if len(p.workers) < int(p.target.Load()) {
		p.startWorker()
	}
	return nil
}

// makeRoom moves tasks from the line into the queue when a quarter of it is
// free: a submitter that is faster than the workers is woken once for many
// tasks and not for each. The caller holds mu.
func (p *Pool) makeRoom() {
	if p.line.first == nil {
		return
	}
	enough := p.opts.Queue - max(1, p.opts.Queue/4)
	if p.queue.len() > enough && p.stale > 0 {
		p.compact()
	}
	if p.queue.len() > enough {
		return
	}
	for p.line.first != nil && p.queue.len() < p.opts.Queue {
		p.admit()
	}
}

// admit moves the first task in line into the queue, if there is one. The
// caller holds mu.
func (p *Pool) admit() {
	e := p.line.first
	if e == nil {
		return
	}
	p.line.remove(e)
	p.lined.Add(-1)
	p.queue.push(e.task)
	close(e.in)
	p.summon().rouse()
}

// compact removes from the queue tasks that were dropped, and the second of two
// entries: a task that has a turn while it is in the queue, because a task
// waits for it, is put at the end again. The caller holds mu.
func (p *Pool) compact() {
	seen := make(map[*executor.Task]struct{}, p.queue.len())
	p.queue.keep(func(t *executor.Task) bool {
		_, twice := seen[t]
		seen[t] = struct{}{}
		return !twice && t.Waiting()
	})
	p.stale = 0
}

// leaveLine takes an entry out of the line, or reports that it has gone in.
func (p *Pool) leaveLine(e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-e.in:
		return false
	default:
	}
	p.line.remove(e)
	p.lined.Add(-1)
	return true
}

// groupQueue is the Pool as its executor.WorkerGroup sees it.
type groupQueue Pool

// Next implements [executor.Queue].
func (g *groupQueue) Next() *executor.Task {
	p := (*Pool)(g)
	return p.pop()
}

// Again implements [executor.Queue].
func (g *groupQueue) Again(t *executor.Task) {
	p := (*Pool)(g)
	p.mu.Lock()
	if p.closed != nil {
		err := p.closed
		p.mu.Unlock()
		t.Fail(err)
		return
	}
	// It may not be refused for want of room, but it queues after earlier
	// submitters: or a few Maps could keep the queue full permanently.
	p.admit()
	p.push(t)
}

// Withdraw implements [executor.Queue]; no task of this pool is ever claimed.
func (*groupQueue) Withdraw(*executor.Task) bool { return true }

// Dropped implements [executor.Queue].
func (g *groupQueue) Dropped() {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale++
	if p.stale > max(segmentSize, p.queue.len()/2) {
		p.compact()
	}
	p.makeRoom()
}

// pop removes and returns the next task that is still pending. The caller does
// not hold mu.
//
// No submitter may wait forever while the queue has room. A submitter (1) adds
// itself to the waiting list, (2) checks the queue for room. pop (1) removes a
// task from the queue, (2) checks the waiting list. At least one of them sees
// the other's first step.
func (p *Pool) pop() *executor.Task {
	for {
		t := p.queue.pop()
		if p.lined.Load() > 0 {
			p.mu.Lock()
			p.makeRoom()
			p.mu.Unlock()
		}
		if t == nil || t.Waiting() {
			return t
		}
	}
}

// Width implements [concert.Executor]: the number of workers wanted.
func (p *Pool) Width() int {
	p.made()
	return int(p.target.Load())
}

// Resize changes the number of workers. New ones start as tasks come;
// surplus ones end when their task does. It panics if n is below 1.
func (p *Pool) Resize(n int) {
	if n < 1 {
		panic(fmt.Sprintf("goroutines: Resize: n is %d; it must be at least 1", n))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target.Store(clampWorkers(n))
	for range min(p.queue.len()-len(p.idle), n-len(p.workers)) {
		p.startWorker()
	}
	surplus := min(len(p.workers)-n, len(p.idle))
	if surplus <= 0 {
		return
	}
	// They look, see that they are too many, and leave.
	for _, w := range p.idle[len(p.idle)-surplus:] {
		w.rouse()
	}
	p.idle = p.idle[:len(p.idle)-surplus]
}

// refuse makes the pool refuse tasks from now on, for the reason given unless
// it has one already, and lets workers end once the queue is empty.
func (p *Pool) refuse(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == nil {
		p.closed = reason
	}
	for e := p.line.first; e != nil; e = p.line.first {
		p.line.remove(e)
		p.lined.Add(-1)
		e.err = p.closed
		close(e.in)
	}
	for _, w := range p.idle {
		w.rouse()
	}
	p.idle = nil
	p.endLocked()
}

// endLocked closes gone when the pool is closed and has no workers.
func (p *Pool) endLocked() {
	if p.closed == nil || len(p.workers) > 0 {
		return
	}
	select {
	case <-p.gone:
	default:
		close(p.gone)
		p.cancelInit(nil)
	}
}

// Close implements [concert.Executor]. It returns nil, except in a task or a
// callback of the pool itself, as it would wait for itself there: then the pool
// refuses new tasks, its goroutines end when all tasks are done, and Close
// returns an error that wraps [concert.ErrDeadlock] at once.
func (p *Pool) Close() error {
	p.made()
	within := p.within()
	p.refuse(concert.ErrClosed)
	if within {
		return errWithin("Close")
	}
	<-p.gone
	return nil
}

// Shutdown implements [concert.Executor]. In a task or a callback of the pool
// itself, or with the context of one, it only refuses new tasks, and returns an
// error that wraps [concert.ErrDeadlock], since it would wait for itself.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.made()
	within := p.within()
	p.refuse(concert.ErrClosed)
	if w := executor.WorkerOf(ctx); within || w != nil && w.Group() == p.group {
		return errWithin("Shutdown")
	}
	select {
	case <-p.gone:
		return nil
	default:
	}
	select {
	case <-p.gone:
		return nil
	case <-ctx.Done():
	}
	failure := &concert.ShutdownError{Cause: context.Cause(ctx)}
	failure.Canceled = p.cancelAll(failure.Cause)
	grace := time.NewTimer(max(0, p.opts.Grace))
	defer grace.Stop()
	// A worker that had taken a task from the queue and not yet begun with it
	// was not seen to run it: hence again, in a moment.
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-p.gone:
			return failure
		case <-again.C:
			p.cancelRunning(failure.Cause)
		case <-grace.C:
			for _, t := range p.running() {
				failure.Running = append(failure.Running, t.Name())
			}
			return failure
		}
	}
}

// cancelAll cancels every task, and returns how many had not started.
func (p *Pool) cancelAll(cause error) (dropped int) {
	p.cancelInit(cause)
	for t := p.popLocking(); t != nil; t = p.popLocking() {
		if t.Cancel(cause) {
			dropped++
		}
	}
	p.cancelRunning(cause)
	return dropped
}

func (p *Pool) cancelRunning(cause error) {
	for _, t := range p.running() {
		t.Cancel(cause)
	}
}

// popLocking is pop for those who must not take a compaction for the end.
func (p *Pool) popLocking() *executor.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue.pop()
}

// running returns the tasks that workers are running.
func (p *Pool) running() []*executor.Task {
	p.mu.Lock()
	defer p.mu.Unlock()
	var tasks []*executor.Task
	for _, w := range p.workers {
		tasks = append(tasks, w.Tasks()...)
	}
	return tasks
}

// Stats is a snapshot of a pool.
type Stats struct {
	Workers int   // goroutines there are
	Idle    int   // of these, sleeping for want of tasks
	Queued  int   // tasks that wait for a worker
	Waiting int   // submitters that wait for room in the queue
	Done    int64 // tasks run since New, each item of a Map counting as one
}

// Stats returns a snapshot. Its numbers are of the same moment.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.compact()
	p.makeRoom()
	s := Stats{Workers: len(p.workers), Idle: len(p.idle), Queued: p.queue.len(), Waiting: int(p.lined.Load()), Done: p.left}
	for _, w := range p.workers {
		s.Done += w.Done()
	}
	return s
}
