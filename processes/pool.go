package processes

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"concert"
)

// Pool is an executor whose workers are processes. Its methods are safe for
// concurrent use. Make one with [New].
//
// One lock guards what the pool knows about tasks and workers. Nobody holds it
// while user code runs, while a task is encoded by its own methods, or while waiting
// for a process.
type Pool struct {
	opts  Options
	width int
	group *concert.WorkerGroup
	boot  chan error // what became of the first workers; written under mu, nil after New

	mu sync.Mutex

	// Guarded by mu:
	queue     []*concert.Task             // that wait; and stale ones
	stale     int                         // about how many of queue were dropped since
	line      []*entry                    // submitters that wait for room, and stale ones
	again     []span                      // claimed, and taken back from a worker: first in turn
	claims    map[*concert.Task]bool      // those that feeders claim calls from
	claiming  int                         // feeders that claim calls from a task
	withdrawn map[*concert.Task]bool      // cancelled while somebody claims
	unsettled int                         // calls that were claimed, and not settled
	nobody    parent                      // of contexts that never end
	parents   map[context.Context]*parent // contexts of calls that are with workers
	seats     []*worker                   // the workers that run tasks, by number; nil for an empty seat
	spares    []*worker                   // ready to take a seat
	all       map[*worker]bool            // processes that have not been buried
	starting  int                         // processes about to be made, which are not in all
	failures  int                         // workers in a row that did not become ready
	broken    error                       // why there will be no workers any more
	closed    error                       // why tasks are refused; nil if they are not
	ended     bool                        // nothing is left to do, and workers are let go
	gone      chan struct{}               // closed when ended and no worker is left
}

// entry is a submitter that waits for room.
type entry struct {
	task  *concert.Task
	in    chan struct{} // closed when the task is in the queue, or refused
	err   error         // written before
	stale bool          // it has given up
}

// parent is the context of a submitter, which many calls have in common.
type parent struct {
	ctx     context.Context
	flights int         // with workers
	stop    func() bool // nil for a context that never ends, which is not in the table
}

const (
	maxFailures = 5 // workers in a row that do not become ready, before the pool is broken
	firstPause  = 20 * time.Millisecond
)

func newPool(n int, o Options) *Pool {
	p := &Pool{
		opts: o, width: n, withdrawn: make(map[*concert.Task]bool), claims: make(map[*concert.Task]bool), parents: make(map[context.Context]*parent),
		seats: make([]*worker, n), all: make(map[*worker]bool), gone: make(chan struct{}),
	}
	p.group = concert.NewWorkerGroup((*groupQueue)(p), o.Observer)
	return p
}

// Width implements [concert.Executor].
func (p *Pool) Width() int { return p.width }

// Execute implements [concert.Executor].
func (p *Pool) Execute(ctx context.Context, t *concert.Task) error {
	p.group.Adopt(t)
	p.mu.Lock()
	if p.closed != nil {
		defer p.mu.Unlock()
		return p.closed
	}
	if len(p.line) == 0 && p.hasRoom() {
		p.queue = append(p.queue, t)
		p.nudge()
		p.mu.Unlock()
		return nil
	}
	e := &entry{task: t, in: make(chan struct{})}
	p.line = append(p.line, e)
	p.makeRoom() // all in line before may have given up
	p.mu.Unlock()

	select {
	case <-e.in:
		return e.err
	default:
	}
	if err := p.group.WaitRoom(ctx, e.in); err != nil {
		p.mu.Lock()
		select {
		case <-e.in:
		default:
			e.stale = true
			p.mu.Unlock()
			return err
		}
		p.mu.Unlock()
	}
	<-e.in
	return e.err
}

// hasRoom reports whether the queue has room. The caller holds mu.
func (p *Pool) hasRoom() bool {
	if len(p.queue) >= p.opts.Queue && p.stale > 0 {
		p.compact()
	}
	return len(p.queue) < p.opts.Queue
}

// compact removes from the queue tasks that were dropped. The caller holds mu.
func (p *Pool) compact() {
	p.queue = slices.DeleteFunc(p.queue, func(t *concert.Task) bool { return !t.Waiting() })
	p.stale = 0
}

// makeRoom lets in those who wait in line, once a quarter of the queue is free:
// one wake-up for many tasks. The caller holds mu.
func (p *Pool) makeRoom() {
	if len(p.line) == 0 || len(p.queue) > p.opts.Queue-max(1, p.opts.Queue/4) && p.stale == 0 {
		return
	}
	let := 0
	for ; let < len(p.line); let++ {
		e := p.line[let]
		if e.stale {
			continue
		}
		if !p.hasRoom() {
			break
		}
		p.queue = append(p.queue, e.task)
		close(e.in)
		p.nudge()
	}
	p.line = slices.Delete(p.line, 0, let)
}

// letIn lets in the first who waits in line, whatever the bound of the queue. The
// caller holds mu.
func (p *Pool) letIn() {
	for len(p.line) > 0 {
		e := p.line[0]
		p.line = p.line[1:]
		if !e.stale {
			p.queue = append(p.queue, e.task)
			close(e.in)
			return
		}
	}
}

// nudge wakes a worker that has room for another task: one that has nothing to
// do if there is one. The caller holds mu.
func (p *Pool) nudge() {
	var best *worker
	for _, w := range p.seats {
		if w != nil && w.asleep && w.room() > 0 && (best == nil || w.count < best.count) {
			best = w
		}
	}
	if best != nil {
		best.rouse()
	}
}

// groupQueue is the Pool as its concert.WorkerGroup sees it.
type groupQueue Pool

func (*groupQueue) Next() *concert.Task { panic("processes: no worker here") }
func (*groupQueue) Again(*concert.Task) { panic("processes: no worker here") }

// Dropped implements [concert.Queue].
func (g *groupQueue) Dropped() {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stale++
	if p.stale > max(64, len(p.queue)/2) {
		p.compact()
	}
	p.makeRoom()
	p.checkEnd()
}

// Withdraw implements [concert.Queue].
func (g *groupQueue) Withdraw(t *concert.Task) bool {
	p := (*Pool)(g)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.again {
		if c.batch.Task() == t {
			p.unwatch(c.parent)
			p.again = slices.Delete(p.again, i, i+1)
			p.settled(1)
			return true
		}
	}
	for w := range p.all {
		for seq := w.first; seq != w.next; seq++ {
			f := w.flight(seq)
			if f.batch == nil || f.batch.Task() != t {
				continue
			}
			if w.withdraw(f, 0).len() == 0 {
				w.cancel(f, concert.ErrCancelled)
				return false
			}
			p.settled(1)
			return true
		}
	}
	if p.claims[t] {
		p.withdrawn[t] = true
		return true
	}
	return false // it is just being settled
}

// settled counts calls that have been settled. The caller holds mu.
func (p *Pool) settled(n int) {
	p.unsettled -= n
	p.checkEnd()
}

// watch has calls cancelled when the context of their submitter ends. The
// caller holds mu, and counts the flights.
func (p *Pool) watch(ctx context.Context) *parent {
	if ctx.Done() == nil {
		return &p.nobody
	}
	known := &parent{ctx: ctx}
	if isPointer(ctx) {
		if before := p.parents[ctx]; before != nil {
			return before
		}
		p.parents[ctx] = known
	}
	known.stop = context.AfterFunc(ctx, func() { p.parentEnded(known) })
	return known
}

// isPointer reports whether a context may be compared with others, as all of
// package context's may: one that is a struct may not be comparable.
func isPointer(ctx context.Context) bool { return reflect.TypeOf(ctx).Kind() == reflect.Pointer }

// unwatch takes back the watch of one flight. The caller holds mu.
func (p *Pool) unwatch(known *parent) {
	if known.flights--; known.flights == 0 && known.stop != nil {
		known.stop()
		if isPointer(known.ctx) && p.parents[known.ctx] == known {
			delete(p.parents, known.ctx)
		}
	}
}

// parentEnded cancels the calls whose submitter's context has ended.
func (p *Pool) parentEnded(ended *parent) {
	cause := context.Cause(ended.ctx)
	var dropped []span
	p.mu.Lock()
	if isPointer(ended.ctx) && p.parents[ended.ctx] == ended {
		delete(p.parents, ended.ctx) // who comes later is to be told, too
	}
	p.again = slices.DeleteFunc(p.again, func(s span) bool {
		if s.parent == ended {
			p.unwatch(ended)
			dropped = append(dropped, s)
			return true
		}
		return false
	})
	for w := range p.all {
		for seq := w.first; seq != w.next; seq++ {
			f := w.flight(seq)
			if f.batch == nil || f.parent != ended {
				continue
			}
			if back := w.withdraw(f, 0); back.len() > 0 {
				dropped = append(dropped, back)
			}
			if f.batch != nil {
				w.cancel(f, cause)
			}
		}
	}
	p.mu.Unlock()
	n := 0
	for _, s := range dropped {
		for i := s.from; i < s.to; i++ {
			if s.deaths > 0 {
				s.batch.Settle(i, -1, concert.Encoded{}, cause) // it did start
			} else {
				s.batch.Drop(i, cause)
			}
		}
		n += s.len()
	}
	p.mu.Lock()
	p.settled(n)
	p.mu.Unlock()
}

// Close implements [concert.Executor]. It returns nil, or why the pool was broken.
func (p *Pool) Close() error {
	p.refuse(concert.ErrClosed)
	<-p.gone
	if p.closed != concert.ErrClosed {
		return p.closed
	}
	return nil
}

// refuse makes the pool refuse tasks from now on.
func (p *Pool) refuse(reason error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == nil {
		p.closed = reason
	}
	for _, e := range p.line {
		if !e.stale {
			e.err = p.closed
			close(e.in)
		}
	}
	p.line = nil
	p.compact()
	p.checkEnd()
}

// checkEnd lets the workers go when the pool is closed and nothing is left to
// do. The caller holds mu.
func (p *Pool) checkEnd() {
	if p.closed == nil {
		return
	}
	if len(p.queue) > 0 && p.stale > 0 {
		p.compact()
	}
	if len(p.queue) > 0 || len(p.again) > 0 || p.claiming > 0 || p.unsettled > 0 {
		return
	}
	p.ended = true
	for w := range p.all {
		w.release()
	}
	p.checkGone()
}

// checkGone closes gone when nothing will happen any more. The caller holds mu.
func (p *Pool) checkGone() {
	if !p.ended || len(p.all) > 0 || p.starting > 0 {
		return
	}
	select {
	case <-p.gone:
	default:
		close(p.gone)
	}
}

// Shutdown implements [concert.Executor]. Tasks that go on after
// Options.Grace are killed, and named in the error.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.refuse(concert.ErrClosed)
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
	grace := time.NewTimer(max(0, p.opts.Grace))
	defer grace.Stop()
	// Calls that were just being claimed were not seen: hence again, in a moment.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	failure.Cancelled = p.cancelAll(failure.Cause)
	over := false
	for {
		select {
		case <-p.gone:
			return failure
		case <-tick.C:
			failure.Cancelled += p.cancelAll(failure.Cause)
			if over {
				p.killAll(failure.Cause)
			}
		case <-grace.C:
			over = true
			failure.Running = p.killAll(failure.Cause)
		}
	}
}

// cancelAll cancels every task, and returns how many had not started.
func (p *Pool) cancelAll(cause error) (dropped int) {
	p.mu.Lock()
	queue := p.queue
	p.queue = nil
	var batches []*concert.Batch
	for _, s := range p.again {
		batches = append(batches, s.batch)
	}
	for w := range p.all {
		for seq := w.first; seq != w.next; seq++ {
			if f := w.flight(seq); f.batch != nil && (f.clock == nil || !f.clock.told) {
				batches = append(batches, f.batch)
			}
		}
	}
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
	p.mu.Lock()
	p.checkEnd()
	p.mu.Unlock()
	return dropped
}

// killAll kills all workers, and returns the names of the tasks that ran.
func (p *Pool) killAll(cause error) (running []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.all {
		if f, _ := w.running(); f != nil {
			running = append(running, f.batch.Name)
		}
		w.kill(fmt.Errorf("shutdown: %w", cause))
	}
	return running
}

// breakLocked gives the pool up: it cannot start workers. The caller holds mu.
func (p *Pool) breakLocked(reason error) {
	err := fmt.Errorf("%w: %w", ErrBroken, reason)
	if p.closed == nil || errors.Is(p.closed, concert.ErrClosed) {
		p.closed = err
	}
	p.broken = err
	queue, spans := p.queue, p.again
	p.queue, p.again = nil, nil
	line := p.line
	p.line = nil
	for _, e := range line {
		if !e.stale {
			e.err = err
			close(e.in)
		}
	}
	go func() { // user code may be told
		for _, t := range queue {
			t.Fail(err)
		}
	}()
	for _, s := range spans {
		p.unwatch(s.parent)
	}
	p.giveUp(spans)
}

// giveUp settles calls that no worker will run. The caller holds mu.
func (p *Pool) giveUp(spans []span) {
	err := p.broken
	go func() { // user code may be told
		n := 0
		for _, s := range spans {
			for i := s.from; i < s.to; i++ {
				s.batch.Settle(i, -1, concert.Encoded{}, err)
			}
			n += s.len()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.settled(n)
	}()
}

// putBack takes calls back that no worker has begun: they are the next in turn,
// behind those that came back before. Their context is watched meanwhile. The
// caller holds mu.
func (p *Pool) putBack(spans ...span) {
	if p.broken != nil {
		p.giveUp(spans)
		return
	}
	for _, s := range spans {
		s.parent = p.watch(s.batch.Parent())
		s.parent.flights++
		p.again = append(p.again, s)
	}
	p.nudge()
}
