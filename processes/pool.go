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
// One lock guards the tables of tasks and workers. It is not held while user
// code runs, while methods of the program encode an argument, or while the pool
// waits for a process.
type Pool struct {
	opts         Options
	size         int // how many workers are active
	group        *executor.WorkerGroup
	ooms         osproc.OOMCounter
	sandbox      *confine.Sandbox // nil: workers are not confined
	template     *template        // what workers are started with
	startResults chan error       // how the starts of the first workers ended; written under mu, nil after New

	defaultLog handlerGuard // of the handler of slog.Default

	mu sync.Mutex

	// Guarded by mu:
	queue        []*executor.Task               // queued tasks, and canceled ones
	stale        int                            // about how many of queue are canceled
	waiters      []*waiter                      // submitters that wait for room, and stale ones
	returned     []span                         // calls that were claimed and taken back from a worker; the next to be sent
	claims       map[*executor.Task]bool        // tasks from which workers claim calls; true if canceled in this time
	checks       map[*executor.Task]bool        // tasks whose argument Options.Check checks; all true
	unsettled    int                            // how many calls were claimed and have not settled
	endless      submitter                      // for contexts that never end
	submitters   map[context.Context]*submitter // contexts of calls that are with workers, or returned
	active       []*worker                      // workers that run tasks, by number; nil if there is none
	standby      []*worker                      // workers that are ready to become active
	all          map[*worker]bool               // workers that are not reaped
	starting     int                            // how many workers are about to start; they are not in all
	oomKills     int                            // kills that ooms has counted and that are explained
	restarts     restarts                       // the deaths of workers in a row
	broken       error                          // why there will be no workers; nil if there will
	closed       error                          // why tasks are refused; nil if they are not
	ended        bool                           // nothing is left to do, and workers leave
	suspectGiven bool                           // the last call sent from returned had workers die before it began
	gone         chan struct{}                  // closed when ended and no worker is left

	logging sync.WaitGroup // log records to write; added to under mu, before gone is closed
}

// waiter is a submitter that waits for room in the queue.
type waiter struct {
	task     *executor.Task
	admitted chan struct{} // closed when the task is in the queue, or refused
	err      error         // written before admitted is closed
	stale    bool          // it no longer waits
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
	p.admitLocked() // the other waiters may be stale
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
			p.leaveLocked(e)
			p.mu.Unlock()
			return err
		}
		p.mu.Unlock()
	}
	<-e.admitted
	return e.err
}

// leaveLocked removes a waiter that no longer waits. Others may wait behind it,
// so it stays in the list, as stale, until they leave or are admitted. If all
// waiters are stale, the list is empty, and has no effect on further tasks.
func (p *Pool) leaveLocked(e *waiter) {
	e.stale = true
	n := len(p.waiters)
	for n > 0 && p.waiters[n-1].stale {
		n--
	}
	clear(p.waiters[n:])
	p.waiters = p.waiters[:n]
}

// hasRoomLocked reports whether the queue has room.
func (p *Pool) hasRoomLocked() bool {
	if p.queuedLocked() >= p.opts.Queue && p.stale > 0 {
		p.compactLocked()
	}
	return p.queuedLocked() < p.opts.Queue
}

// queuedLocked returns how many tasks count as queued, for Options.Queue.
func (p *Pool) queuedLocked() int { return len(p.queue) + len(p.checks) }

// compactLocked removes canceled tasks from the queue.
func (p *Pool) compactLocked() {
	p.queue = slices.DeleteFunc(p.queue, func(t *executor.Task) bool { return !t.Waiting() })
	p.stale = 0
}

// admitLocked admits waiters once a quarter of the queue is free, so that there
// is one wake-up for many tasks.
func (p *Pool) admitLocked() {
	if len(p.waiters) == 0 || p.queuedLocked() > p.opts.Queue-max(1, p.opts.Queue/4) && p.stale == 0 {
		return
	}
	n := 0
	for ; n < len(p.waiters); n++ {
		e := p.waiters[n]
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
	p.waiters = slices.Delete(p.waiters, 0, n)
}

// admitFirstLocked admits the first waiter, even if the queue is full.
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

// wakeWorkerLocked wakes a worker that has room for a call, an idle one if
// possible.
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

// groupQueue is the Pool as the queue of its executor.WorkerGroup.
type groupQueue Pool

// Next implements [executor.Queue]. It is for workers in this process, and
// panics.
func (*groupQueue) Next() *executor.Task {
	panic("processes: the workers of a Pool are not in this process")
}

// Again implements [executor.Queue]. It queues a task at the front, whose
// argument methods of the program have encoded.
func (g *groupQueue) Again(t *executor.Task) {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		err := p.broken
		go t.Fail(err) // callbacks must not run while mu is held
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
	return false // it is being settled
}

// countSettledLocked counts settled calls.
func (p *Pool) countSettledLocked(n int) {
	p.unsettled -= n
	p.checkEndLocked()
}

// returnCallsLocked takes calls that no worker has begun. They are the next to
// be sent, after those that were returned before. The pool watches the contexts
// of their submitters.
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
