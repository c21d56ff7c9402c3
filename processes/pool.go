package processes

import (
	"context"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/executor"
	"concert/processes/internal/confine"
	"concert/processes/internal/osproc"
)

// Pool is an executor whose workers are processes. Its methods are safe for
// concurrent use. Make one with [New].
//
// One lock guards what the pool knows about tasks and workers. Nobody holds it
// while user code runs, while a task is encoded by its own methods, or while
// waiting for a process.
type Pool struct {
	opts         Options
	size         int // workers
	group        *executor.WorkerGroup
	ooms         osproc.OOMCounter
	sandbox      *confine.Sandbox // nil: workers are not confined
	template     *template        // of the workers
	startResults chan error       // what became of the first workers; written under mu, nil after New

	defaultLog handlerGuard // of the handler of slog.Default

	mu sync.Mutex

	// Guarded by mu:
	queue        []*executor.Task               // that wait; and stale ones
	stale        int                            // about how many of queue were dropped since
	waiters      []*waiter                      // submitters that wait for room, and stale ones
	returned     []span                         // claimed, and taken back from a worker: first in turn
	claims       map[*executor.Task]bool        // those that feeders claim calls from; true: canceled meanwhile
	checks       map[*executor.Task]bool        // those whose argument Options.Check looks at; all true
	unsettled    int                            // calls that were claimed, and not settled
	endless      submitter                      // of contexts that never end
	submitters   map[context.Context]*submitter // contexts of calls that are with workers
	active       []*worker                      // the workers that run tasks, by number; nil for an empty seat
	standby      []*worker                      // ready to take a seat
	all          map[*worker]bool               // processes that have not been buried
	starting     int                            // processes about to be made, which are not in all
	oomKills     int                            // that ooms has counted, and were others, or known deaths
	restarts     restarts                       // deaths of workers in a row
	broken       error                          // why there will be no workers any more
	closed       error                          // why tasks are refused; nil if they are not
	ended        bool                           // nothing is left to do, and workers are let go
	suspectGiven bool                           // what was given out last of again had workers die before it began
	gone         chan struct{}                  // closed when ended and no worker is left

	logging sync.WaitGroup // log records that are due; added to under mu, before gone is closed
}

// entry is a submitter that waits for room.
type waiter struct {
	task     *executor.Task
	admitted chan struct{} // closed when the task is in the queue, or refused
	err      error         // written before
	stale    bool          // it has given up
}

func newPool(n int, o Options, c *confine.Sandbox) *Pool {
	p := &Pool{
		opts: o, defaultLog: handlerGuard{name: "the handler of slog.Default"}, size: n, sandbox: c, claims: make(map[*executor.Task]bool), checks: make(map[*executor.Task]bool), submitters: make(map[context.Context]*submitter),
		active: make([]*worker, n), all: make(map[*worker]bool), gone: make(chan struct{}),
	}
	p.restarts.paused = make(map[*time.Timer]bool)
	p.ooms = osproc.FindOOMCounter()
	p.oomKills = p.ooms.Count()
	p.group = executor.NewWorkerGroup((*groupQueue)(p), o.Observer)
	p.group.Remote = true
	p.group.Limits = executor.Limits{Timeout: o.Timeout, Expired: ErrTimeout, Grace: o.Grace}
	return p
}

// Options returns the options of the pool. They have the defaults in place of
// zeros.
func (p *Pool) Options() Options {
	p.made()
	return p.opts
}

// Width implements [concert.Executor].
func (p *Pool) Width() int {
	p.made()
	return p.size * p.opts.Threads
}

// made panics if New has not made the Pool.
func (p *Pool) made() {
	if p == nil || p.group == nil {
		panic("processes: the Pool is nil or zero: make it with New of package processes or python, and check its error")
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
	if len(p.waiters) == 0 && p.hasRoomLocked() {
		p.queue = append(p.queue, t)
		p.wakeWorkerLocked()
		p.mu.Unlock()
		return nil
	}
	e := &waiter{task: t, admitted: make(chan struct{})}
	p.waiters = append(p.waiters, e)
	p.admitLocked() // all in line before may have given up
	p.mu.Unlock()

	select {
	case <-e.admitted:
		return e.err
	default:
	}
	if err := p.group.WaitRoom(ctx, e.admitted); err != nil {
		p.mu.Lock()
		select {
		case <-e.admitted:
		default:
			e.stale = true
			p.mu.Unlock()
			return err
		}
		p.mu.Unlock()
	}
	<-e.admitted
	return e.err
}

// hasRoom reports whether the queue has room.
func (p *Pool) hasRoomLocked() bool {
	if p.queuedLocked() >= p.opts.Queue && p.stale > 0 {
		p.compactLocked()
	}
	return p.queuedLocked() < p.opts.Queue
}

// waiting returns how many tasks count for the bound of the queue.
func (p *Pool) queuedLocked() int { return len(p.queue) + len(p.checks) }

// compact removes from the queue tasks that were dropped.
func (p *Pool) compactLocked() {
	p.queue = slices.DeleteFunc(p.queue, func(t *executor.Task) bool { return !t.Waiting() })
	p.stale = 0
}

// makeRoom lets in those who wait in line, once a quarter of the queue is free:
// one wake-up for many tasks.
func (p *Pool) admitLocked() {
	if len(p.waiters) == 0 || p.queuedLocked() > p.opts.Queue-max(1, p.opts.Queue/4) && p.stale == 0 {
		return
	}
	let := 0
	for ; let < len(p.waiters); let++ {
		e := p.waiters[let]
		if e.stale {
			continue
		}
		if !p.hasRoomLocked() {
			break
		}
		p.queue = append(p.queue, e.task)
		close(e.admitted)
		p.wakeWorkerLocked()
	}
	p.waiters = slices.Delete(p.waiters, 0, let)
}

// letIn lets in the first who waits in line, whatever the bound of the queue.
func (p *Pool) admitFirstLocked() {
	for len(p.waiters) > 0 {
		e := p.waiters[0]
		p.waiters = p.waiters[1:]
		if !e.stale {
			p.queue = append(p.queue, e.task)
			close(e.admitted)
			return
		}
	}
}

// nudge wakes a worker that has room for another task: one that has nothing to
// do if there is one.
func (p *Pool) wakeWorkerLocked() {
	var best *worker
	for _, w := range p.active {
		if w != nil && w.asleep && w.roomLocked() > 0 && (best == nil || w.count < best.count) {
			best = w
		}
	}
	if best != nil {
		best.wakeLocked()
	}
}

// groupQueue is the Pool as its executor.WorkerGroup sees it.
type groupQueue Pool

// Next implements [executor.Queue]; it is for workers in this process.
func (*groupQueue) Next() *executor.Task { panic("processes: no worker here") }

// Again implements [executor.Queue]: methods of the program have encoded the
// argument of a task that was in the queue before. It is the next in turn.
func (g *groupQueue) Again(t *executor.Task) {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		err := p.broken
		go t.Fail(err) // callbacks must not run under the lock
		return
	}
	p.queue = slices.Insert(p.queue, 0, t)
	p.wakeWorkerLocked()
}

// Dropped implements [executor.Queue].
func (g *groupQueue) Dropped() {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale++
	if p.stale > max(64, len(p.queue)/2) {
		p.compactLocked()
	}
	p.admitLocked()
	p.checkEndLocked()
}

// Withdraw implements [executor.Queue].
func (g *groupQueue) Withdraw(t *executor.Task) bool {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.returned {
		if c.batch.Task() == t {
			p.unwatchLocked(c.submitter)
			p.returned = slices.Delete(p.returned, i, i+1)
			p.countSettledLocked(1)
			return true
		}
	}
	for w := range p.all {
		for f := range w.flights.all {
			if f.batch.Task() != t {
				continue
			}
			if w.takeBackLocked(f, 0).len() == 0 {
				w.cancelLocked(f, concert.ErrCanceled)
				f.reportedRunning = true
				return false
			}
			p.countSettledLocked(1)
			return true
		}
	}
	if p.checks[t] {
		delete(p.checks, t)
		p.countSettledLocked(1)
		return true
	}
	if _, claiming := p.claims[t]; claiming {
		p.claims[t] = true
		return true
	}
	return false // it is just being settled
}

// settled counts calls that have been settled.
func (p *Pool) countSettledLocked(n int) {
	p.unsettled -= n
	p.checkEndLocked()
}

// putBack takes calls back that no worker has begun: they are the next in turn,
// behind those that came back before. Their context is watched meanwhile.
func (p *Pool) returnCallsLocked(spans ...span) {
	if p.broken != nil {
		p.failCallsLocked(spans)
		return
	}
	for _, s := range spans {
		s.submitter = p.watchLocked(s.batch.Parent())
		s.submitter.flights++
		p.returned = append(p.returned, s)
	}
	p.wakeWorkerLocked()
}
