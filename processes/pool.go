package processes

import (
	"context"
	"os"
	"slices"
	"sync"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/confine"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// Pool is an executor whose workers are processes. Its methods are safe for
// concurrent use. Make one with [New].
//
// One lock guards the tables of tasks and workers. It is not held while user
// code runs, while methods of the program encode an argument, or while the pool
// waits for a process.
type Pool struct {
	opts         Options
	config       config
	size         int // number of active workers
	group        *executor.WorkerGroup
	ooms         osproc.OOMCounter
	sandbox      *confine.Sandbox // nil: workers are not confined
	template     *template        // the program and the settings of workers
	startResults chan error       // one error or nil for each worker that New starts; written under mu, nil after New

	defaultLog handlerGuard // of the handler of slog.Default

	queue *executor.TaskQueue // its mutex is mu

	mu sync.Mutex

	// Guarded by mu:
	returned    []callRange                        // claimed calls that wait for a worker, for example because they were taken back; sent before the calls of queue
	claims      map[*executor.Task]bool            // tasks from which a worker is claiming calls; true if canceled during the claim
	checks      map[*executor.Task]bool            // tasks whose argument Options.Check checks; all true
	unsettled   int                                // number of claimed calls that have not settled
	endless     submitter                          // the submitter of all contexts that never end
	submitters  map[context.Context]*submitter     // by context: the submitters of the calls in workers and in returned
	active      []*worker                          // workers that run tasks, by number; nil for a number without a worker
	standby     []*worker                          // workers that are ready to become active
	all         map[*worker]bool                   // workers that are not reaped
	starting    int                                // number of workers that are about to start; they are not in all
	traffic     traffic                            // total of all reaped workers
	watched     bool                               // Watch was called and Options.Observer is nil, so new workers must be told to report progress
	oomKills    int                                // number of the counted kills that can explain no further death: kills before New, and kills that have explained one
	restarts    restarts                           // the deaths of workers in a row
	broken      error                              // why the pool is broken, or nil
	closed      error                              // why the pool refuses tasks, or nil
	ended       bool                               // the pool is closed and has no tasks; workers exit
	sentSuspect bool                               // whether the pool, when it last sent calls of Pool.returned, sent a suspect; see blameNextLocked
	shared      map[executor.SharedID]*sharedValue // the shared values
	gone        chan struct{}                      // closed when ended is true and no worker is left

	logging sync.WaitGroup // log records to write; added to under mu, before gone is closed
}

// config has settings of a pool that only tests change.
type config struct {
	shareMemory     func(name string, size int) ([]byte, *os.File, error) // makes memory that a pool shares with a worker
	sealMemory      func(name string, b []byte) (*os.File, error)         // makes the file of a shared value
	trimAfter       time.Duration                                         // time for which a worker must be idle before the pool trims its arena
	trimArena       func(*shm.Arena)                                      // returns the memory of an arena to the system
	silenceTakeBack time.Duration                                         // the limits of silence, see silence.go
	silenceStopped  time.Duration
	silenceKill     time.Duration
}

func defaultConfig() config {
	return config{
		shareMemory: shm.New, sealMemory: shm.Seal, trimAfter: time.Second, trimArena: (*shm.Arena).Trim,
		silenceTakeBack: time.Second, silenceStopped: 5 * time.Second, silenceKill: 10 * time.Second,
	}
}

func newPool(n int, o Options, c *confine.Sandbox, settings config) *Pool {
	p := &Pool{
		opts: o, config: settings, defaultLog: handlerGuard{name: "the handler of slog.Default"}, size: n, sandbox: c, claims: make(map[*executor.Task]bool), checks: make(map[*executor.Task]bool), submitters: make(map[context.Context]*submitter),
		active: make([]*worker, n), all: make(map[*worker]bool), gone: make(chan struct{}),
	}
	p.restarts.paused = make(map[*time.Timer]bool)
	p.ooms = osproc.FindOOMCounter()
	p.oomKills = p.ooms.Count()
	p.queue = executor.NewTaskQueue(&p.mu, o.Queue, p.wakeWorkerLocked)
	p.group = executor.NewRemoteGroup((*groupQueue)(p), executor.Limits{Timeout: o.Timeout, Expired: ErrTimeout, Grace: o.Grace}, o.Observer)
	return p
}

// Options returns the options of the pool, with the defaults in place of zeros.
func (p *Pool) Options() Options {
	p.made()
	return p.opts
}

// Width implements [concert.Executor].
func (p *Pool) Width() int {
	p.made()
	return p.size * p.opts.Threads
}

// Stats implements [concert.Executor]. The workers are the processes that
// run tasks; a worker is busy if it has calls. A Submit or an item counts as
// Running when the pool knows that it has begun, so short tasks are Queued
// until their results arrive. The numbers of bytes include pipes and shared
// memory. The workers measure RunTime.
func (p *Pool) Stats() concert.Stats {
	p.made()
	s := p.group.Stats()
	p.mu.Lock()
	defer p.mu.Unlock()
	s.Sent, s.Received = p.traffic.sent, p.traffic.received
	for w := range p.all {
		s.Sent += w.sent.Load()
		s.Received += w.read.Load()
	}
	s.Restarts = p.restarts.replaced
	for _, w := range p.active {
		if w == nil {
			continue
		}
		s.Workers++
		if w.count > 0 {
			s.Busy++
		}
	}
	return s
}

// traffic has the numbers of bytes that were sent to workers and received from
// them.
type traffic struct{ sent, received int64 }

// Watch implements [concert.Executor]. Workers report the progress of tasks
// from the first Watch on, or from the beginning if the pool has an
// Options.Observer. The first Watch does not wait until the workers have
// received this request. So the progress of tasks that begin at the same
// time may be missing.
func (p *Pool) Watch(o concert.Observer) (stop func()) {
	p.made()
	stop = p.group.Watch(o)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.watched && p.opts.Observer == nil {
		p.watched = true
		for w := range p.all {
			w.sendControlLocked(frame.AppendWatch(nil))
		}
	}
	return stop
}

// made panics if the Pool was not made by New.
func (p *Pool) made() {
	if p == nil || p.group == nil {
		panic("processes: the Pool is nil or zero: make it with New of package processes or python, and check its error")
	}
}

// Execute implements [concert.Executor].
func (p *Pool) Execute(ctx context.Context, t *executor.Task) error {
	p.made()
	p.group.Adopt(t)
	return p.queue.Push(ctx, p.group, t)
}

// wakeWorkerLocked wakes one of the workers that can get another call: the
// worker that has the fewest calls.
func (p *Pool) wakeWorkerLocked() {
	var best *worker
	for _, w := range p.active {
		if w != nil && w.asleep && w.capacityLocked() > 0 && (best == nil || w.count < best.count) {
			best = w
		}
	}
	if best != nil {
		best.wakeLocked()
	}
}

// groupQueue is a Pool in its role as the queue of its executor.WorkerGroup.
type groupQueue Pool

// Again implements [executor.Queue]. The group calls it when user code has
// encoded the argument of a task. Again puts the task at the front of the
// queue.
func (g *groupQueue) Again(t *executor.Task) {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken != nil {
		err := p.broken
		go t.Fail(err) // callbacks must not run while mu is held
		return
	}
	p.queue.AddFirstLocked(t)
}

// Dropped implements [executor.Queue].
func (g *groupQueue) Dropped() {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue.DroppedLocked()
	p.checkEndLocked()
}

// Withdraw implements [executor.RemoteQueue].
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
		for f := range w.frames.all {
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
		p.queue.ReserveLocked(-1)
		p.countSettledLocked(1)
		return true
	}
	if _, claiming := p.claims[t]; claiming {
		p.claims[t] = true
		return true
	}
	return false // another goroutine settles the task
}

// countSettledLocked subtracts n settled calls from p.unsettled.
func (p *Pool) countSettledLocked(n int) {
	p.unsettled -= n
	p.checkEndLocked()
}

// checkEndLocked makes the workers exit if the pool is closed and has no tasks.
func (p *Pool) checkEndLocked() {
	if p.closed == nil {
		return
	}
	if p.queue.FirstLocked() != nil || len(p.returned) > 0 || len(p.claims) > 0 || p.unsettled > 0 || len(p.group.UserCode()) > 0 {
		return
	}
	p.ended = true
	for w := range p.all {
		w.leaveLocked()
	}
	p.checkGoneLocked()
}

// returnCallsLocked adds claimed calls that wait for a worker to p.returned,
// and makes the pool watch the contexts of their submitters.
func (p *Pool) returnCallsLocked(ranges ...callRange) {
	if p.broken != nil {
		p.failCallsLocked(ranges)
		return
	}
	for _, s := range ranges {
		s.submitter = p.watchLocked(s.batch.Parent())
		s.submitter.refs++
		p.returned = append(p.returned, s)
	}
	p.wakeWorkerLocked()
}

// removeFirstReturnedLocked removes p.returned[0]. It does not move the
// other elements, because there may be many of them: up to one for each call
// of a worker.
func (p *Pool) removeFirstReturnedLocked() {
	p.returned[0] = callRange{}
	p.returned = p.returned[1:]
}
