package executor

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// How waits stay free of deadlock
//
// A worker whose task blocks in a wait does not serve its queue. When all
// workers of a group do so, and what they wait for stands in their own queue,
// or in the queue of a group in the same state, nothing would ever move.
// Three rules prevent it. Each needs to know that the waiter is a worker,
// which is what the task's own context says.
//
//  1. A task that waits for a task of its own group that has not started runs
//     it at once, on top of itself (strand.await).
//  2. A task that blocks otherwise gives its worker up and enters its wait
//     into the graph below. If it is stuck, one blocked worker of a group that
//     holds the way up is lent to a new strand, which serves the queue with
//     it. A task whose wait is over takes its worker back before it goes on.
//  3. If a task is stuck and no queue holds the way up, tasks wait for each
//     other in a circle, and the wait that closes it fails with ErrDeadlock,
//     unless a wait of the circle can end without the others (wait.canEnd).
//
// A worker is lent for its own group's tasks only, and has one holder at a
// time, so a group of n workers never has more than n tasks that advance, and
// its tasks find the state of its own workers, even while groups wait for each
// other. Lending is for those that are stuck: a task that waits for something
// that can happen keeps its worker idle, so that n workers do not start more
// than n tasks without need.
//
// Rule 1 saves the goroutine. What is on top of a task is what it waits for, so
// it closes no circle that was not there, except where the wait may end
// without that: a deadline, or a callback that waits for the task below.
//
// A strand is stuck unless it is alive. It is alive if it is not suspended, or
// suspended in a wait for one of these:
//
//	something that has happened meanwhile, or can happen outside
//	a task that has settled, or runs or may start elsewhere
//	a task on the stack of a strand that is alive
//	a task not started, in a group with a worker that is held, or has a strand that is alive
//	room in the queue of such a group
//
// The alive ones are the smallest set that satisfies these lines, found by
// repeating them until nothing changes; that is only done when a wait finds
// nothing in its way that surely moves.
//
// A wait that can end by its own context, at a deadline for example, does not
// make its strand alive for rules 1 and 2: what it waits for shall happen
// before that. Only rule 3 counts it, when no worker would help.
//
// Why no deadlock is missed: what is alive becomes stuck only when a strand
// that was not suspended blocks, or ends and leaves its worker free, or a
// worker leaves. All of it happens under graph.mu, and the strand then looks
// for itself, or for those suspended on its worker, or in its group.

// graph guards what strands wait for and who has which worker. It is locked
// when a strand blocks and when it goes on, never around user code.
var graph struct {
	mu     sync.Mutex
	search search // guarded by mu

	resumed uint64 // guarded by mu: how many waits have ended
	chain   uint64 // guarded by mu: how many chains were followed, see lastOf

	sources []*strand     // guarded by mu: where the present search begins
	steps   int           // guarded by mu: strands that searches and chains have passed
	verify  func(ok bool) // guarded by mu: for tests, what a search says where none was made
}

// wait is what a strand is suspended in.
type wait struct {
	ctx   context.Context
	ready <-chan struct{} // it ends when this is closed, or has something in its buffer, or ctx ends
	on    []*Task         // which one of these will do,
	room  *WorkerGroup    // or this group, if any, when it takes a task from its queue
	over  bool            // guarded by graph.mu: it has ended, and the strand stands in line
}

// block suspends the strand until ready is closed or yields, or ctx ends. on
// and room say what stands behind ready; with neither, it is something outside.
func (s *strand) block(ctx context.Context, self *Task, ready <-chan struct{}, on []*Task, room *WorkerGroup) error {
	b := &wait{ctx: ctx, ready: ready, on: on, room: room}
	for {
		changed, err := s.suspend(b, self)
		if err == errNotMine {
			return waitFor(ctx, ready)
		}
		if changed == nil {
			if err == nil {
				err = waitFor(ctx, ready)
			}
			s.goOn(b)
			return err
		}
		select {
		case <-ready:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-changed:
			s.leave(b)
			continue
		}
		s.leave(b)
		return err
	}
}

func waitFor(ctx context.Context, ready <-chan struct{}) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errNotMine says that the wait is of a goroutine of a task that itself waits
// for the one that runs on top of it.
var errNotMine = errors.New("concert: not on its strand")

// rescueLocked lends a worker if the strand is stuck, and fails if that would
// not help.
func (s *strand) rescueLocked() error {
	graph.sources = append(graph.sources[:0], s)
	if s.easyLocked() {
		if graph.verify != nil {
			graph.verify(graph.search.isAlive(s))
		}
		return nil
	}
	return graph.search.rescue(graph.sources)
}

// isAlive is what a search says.
func (q *search) isAlive(s *strand) bool {
	defer q.forget()
	q.collect([]*strand{s})
	q.spread()
	return s.alive
}

// rescueLocked looks after the strands suspended on a worker.
func (w *Worker) rescueLocked() {
	graph.sources = graph.sources[:0]
	for s := range w.suspendedLocked {
		if !s.easyLocked() {
			graph.sources = append(graph.sources, s)
		}
	}
	if len(graph.sources) > 0 {
		// A circle would have been found when it closed.
		_ = graph.search.rescue(graph.sources)
	}
}

// suspendedLocked yields the strands suspended on a worker.
func (w *Worker) suspendedLocked(yield func(*strand) bool) {
	if w.main.wait != nil && !yield(&w.main) {
		return
	}
	for _, s := range w.lent {
		if s.wait != nil && !yield(s) {
			return
		}
	}
}

// easyLocked settles the common case without a search: something that the
// strand waits for moves, for sure.
func (s *strand) easyLocked() bool {
	if s.wait.input() && len(s.beside) > 0 {
		return slices.ContainsFunc(s.beside, (*wait).easyLocked)
	}
	return s.wait.easyLocked() || s.wait.easyChainLocked()
}

// input reports whether the wait is for a Map's next input. If the goroutine
// that iterates the inputs waits in its turn, that is what it is for.
func (b *wait) input() bool { return len(b.on) == 0 && b.room == nil && !b.ended() }

func (b *wait) easyLocked() bool {
	if b.elsewhere() || b.room != nil && b.room.freeLocked() {
		return true
	}
	for _, t := range b.on {
		if g, s := t.whereLocked(); g == nil && s == nil || g != nil && g.freeLocked() || s != nil && s.wait == nil {
			return true
		}
	}
	return false
}

// easyChainLocked is easyLocked for the end of a chain of waits.
func (b *wait) easyChainLocked() bool {
	if !b.single() {
		return false
	}
	_, s := b.on[0].whereLocked()
	if s == nil {
		return false
	}
	last := s.lastOf()
	return last.wait == nil || !last.wait.input() && len(last.beside) == 0 && last.wait.easyLocked()
}

// elsewhere reports whether no worker stands in the way: the wait has ended,
// or it is for something outside, as a Map's next input.
func (b *wait) elsewhere() bool { return len(b.on) == 0 && b.room == nil || b.ended() }

// ended reports whether the strand only has to wake.
func (b *wait) ended() bool {
	if b.over || b.ctx.Err() != nil {
		return true
	}
	if cap(b.ready) > 0 {
		return len(b.ready) > 0
	}
	select {
	case <-b.ready: // closed
		return true
	default:
		return false
	}
}

// canEnd reports whether the wait ends without what it is for: at a deadline,
// or when a context ends that was made from the task's own to be canceled. That
// the whole task may be canceled does not count, as every task can.
func (b *wait) canEnd() bool {
	if _, ok := b.ctx.Deadline(); ok {
		return true
	}
	done := b.ctx.Done()
	own, ok := b.ctx.Value(ownKey{}).(context.Context)
	return done != nil && (!ok || done != own.Done())
}

// ownKey is the context key under which the context that a function of this
// package gave to a task, to an item of a Map or to a callback gives itself.
type ownKey struct{}

// canEnd reports whether the strand continues when a context ends.
func (s *strand) canEnd() bool {
	return s.wait.canEnd() || s.wait.input() && slices.ContainsFunc(s.beside, (*wait).canEnd)
}

// whereLocked returns the group in whose queue a task waits, or the strand on
// whose stack it is, or neither when it needs neither to get on.
func (t *Task) whereLocked() (*WorkerGroup, *strand) {
	if t.group == nil {
		return nil, nil
	}
	switch t.state() {
	case pending:
		return t.group, nil
	case running:
		return nil, t.strand.Load()
	}
	return nil, nil
}

// freeLocked reports whether a worker of the group has work in hand or is
// idle, or may still be started.
func (g *WorkerGroup) freeLocked() bool { return g.blocked < len(g.workers) || len(g.workers) == 0 }

// lendableLocked picks a worker of the group that nobody has, the given one
// if it is among them.
func (g *WorkerGroup) lendableLocked(first *Worker) *Worker {
	var best *Worker
	for w := range g.workers {
		if w.counted && (best == nil || w == first || best != first && w.id < best.id) {
			best = w
		}
	}
	return best
}
