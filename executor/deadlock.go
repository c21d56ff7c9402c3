package executor

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// How waits stay free of deadlock
//
// A worker whose task is blocked in a wait does not serve its queue. Suppose
// that all workers of a group are blocked, and that the awaited tasks are in
// the group's own queue, or in the queue of another group in the same state.
// Then no task can ever continue. Three rules prevent this. They apply to a
// goroutine that waits with the context of a task: by this context, the wait
// finds the carrier of the task.
//
//  1. A task that waits for an unstarted task of its own group runs that task
//     at once, nested on its own stack (carrier.await).
//  2. A task that is blocked in any other wait releases its worker, and its
//     wait enters the graph below. The carrier of the task may be stuck,
//     because its wait depends on the queue of a group whose workers are all
//     blocked. Then a compensating carrier takes over one of these workers
//     and serves the queue. When the wait of a task has ended, the task
//     acquires its worker before it continues.
//  3. If a carrier is stuck and there is no such queue, tasks wait for each
//     other in a circle. The wait that closes the circle returns ErrDeadlock,
//     unless a wait of the circle can end without the others (wait.canEnd).
//
// An example: pool P has one worker, pool Q has one worker. Task a of P has
// submitted b to Q and waits for it; b submits c to P and waits for it.
//
//	1. a waits for b, which runs on Q         a ---> b (running)
//	   a is runnable: b can continue.
//
//	2. b waits for c, in the queue of P       a ---> b ---> queue of P: c
//	   The only worker of P is blocked by a:
//	   b is stuck, and so is a.
//
//	3. rule 2: a compensating carrier of P's worker takes c from the queue
//	                                          a ---> b ---> c (running)
//
//	4. c ends, so b continues, and then a: each acquires its worker first.
//	   If c waits for a instead, there is no queue to serve:
//	                                          a ---> b ---> c ---> a
//	   Rule 3: the wait of c returns ErrDeadlock.
//
// A carrier compensates for workers of its own group only, and a worker has
// one holder at a time. So in a group of n workers, at most n tasks run at a
// time, and two tasks that run use the State of different workers. Only
// stuck carriers get a compensating carrier. If the wait of a task can end
// without such a carrier, the worker of the task stays idle. So n workers
// start more than n tasks only if this is necessary.
//
// Rule 1 saves a goroutine. A nested task blocks the task below it until the
// nested task ends. The task below waits for the nested task anyway, so this
// closes no new circle. There are two exceptions: the wait could end earlier,
// at a deadline, or a callback of the nested task waits for the task below.
//
// A carrier is runnable or stuck. It is runnable if it is not suspended, or if
// it is suspended in a wait for one of these:
//
//	an event that has happened, or that can happen outside of the graph
//	a task that has settled, or that runs or may start in another process
//	a task on the stack of a runnable carrier
//	an unstarted task in a group with a worker that is held, or with a runnable carrier
//	room in the queue of such a group
//
// All other carriers are stuck. To find the runnable carriers, a search repeats
// these lines until it finds no further one. A search is only made if none of
// the dependencies of a new wait is certain to make progress.
//
// A wait may end by its own context, for example at a deadline. This does not
// make its carrier runnable for rules 1 and 2, because the awaited task should
// run before the deadline. It counts only for rule 3, after rule 2 did not
// help.
//
// Why is no deadlock missed? A runnable carrier becomes stuck only in three
// cases: a carrier blocks, a carrier ends and leaves its worker free, or a
// worker leaves its group. All these events happen under graph.mu. After
// each event, a search examines the carriers that may be stuck now: in the
// first case the carrier itself, in the second case the carriers that are
// suspended on the free worker, in the third case the carriers of the group.

// graph.mu guards the waits of carriers, and the holders of workers. A
// goroutine locks graph.mu when a carrier blocks or continues. While it
// holds graph.mu, it never calls user code.
var graph struct {
	mu     sync.Mutex
	search search // guarded by mu

	resumed uint64 // guarded by mu: number of waits that have ended
	chain   uint64 // guarded by mu: number of chains that lastOf has followed

	sources []*carrier    // guarded by mu: where the current search begins
	steps   int           // guarded by mu: number of carriers that searches and lastOf have visited
	verify  func(ok bool) // guarded by mu: nil except in tests. Where a shortcut decides that a carrier is runnable, verify is called with the result of a search
}

// wait is a wait in which a carrier is suspended.
type wait struct {
	ctx   context.Context // nil if it is foreign
	done  <-chan struct{} // Done of ctx
	ready <-chan struct{} // the wait ends when ready is closed or has an element in its buffer, or done is closed
	on    []*Task         // the wait ends when one of these tasks settles; nil if it waits for no task
	room  *WorkerGroup    // the wait ends when this group takes a task from its queue; nil if it does not wait for room
	early bool            // whether the wait can end before the awaited event; used if ctx is nil
	over  bool            // guarded by graph.mu: the wait has ended, and the carrier has a ticket
}

// newWait returns a wait with ctx. It calls the methods of a foreign context
// now, because they must not be called with graph.mu held.
func newWait(ctx context.Context, ready <-chan struct{}, on []*Task, room *WorkerGroup) *wait {
	b := &wait{ctx: ctx, done: ctx.Done(), ready: ready, on: on, room: room}
	if f, ok := ctx.(*foreignContext); ok {
		b.early, b.ctx = endsEarly(f, f.done), nil // f.done and not b.done: the Done channel of f itself is never the channel of the task
	} else if foreign(ctx) {
		b.early, b.ctx = endsEarly(ctx, b.done), nil
	}
	return b
}

// block suspends the carrier until ready is closed or has an element, or ctx
// ends. The parameter on has the tasks that send to ready when they settle.
// The parameter room is a group: when the queue of this group has room, the
// queue sends to ready or closes ready. If both parameters are nil, an event
// outside of the graph sends to ready.
func (s *carrier) block(ctx context.Context, self *Task, ready <-chan struct{}, on []*Task, room *WorkerGroup) error {
	b := newWait(ctx, ready, on, room)
	for {
		changed, err := s.suspend(b, self)
		if err == errNotTop {
			return waitFor(ctx, ready)
		}
		if changed == nil {
			if err == nil {
				err = waitFor(ctx, ready)
			}
			s.resume(b)
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

// errNotTop reports that the waiting task is not the newest one on the
// carrier's stack. One goroutine of the task runs a nested task, and another
// goroutine of the task has called a wait as well.
var errNotTop = errors.New("concert: not the newest task of its carrier")

// rescueLocked starts a compensating carrier if s is stuck. It returns
// ErrDeadlock if s is stuck and there is no queue that a compensating carrier
// could serve.
func (s *carrier) rescueLocked() error {
	graph.sources = append(graph.sources[:0], s)
	if s.surelyRunnableLocked() {
		if graph.verify != nil {
			graph.verify(graph.search.isRunnable(s))
		}
		return nil
	}
	return graph.search.rescue(graph.sources)
}

// isRunnable makes a search, and reports whether s is runnable.
func (q *search) isRunnable(s *carrier) bool {
	defer q.forget()
	q.collect([]*carrier{s})
	q.spread()
	return s.runnable
}

// rescueLocked starts a compensating carrier if one of the carriers that are
// suspended on w is stuck.
func (w *Worker) rescueLocked() {
	graph.sources = graph.sources[:0]
	for s := range w.suspendedLocked {
		if !s.surelyRunnableLocked() {
			graph.sources = append(graph.sources, s)
		}
	}
	if len(graph.sources) > 0 {
		// Ignore ErrDeadlock: the wait that closed the circle has returned it.
		_ = graph.search.rescue(graph.sources)
	}
}

// suspendedLocked yields the suspended carriers of w.
func (w *Worker) suspendedLocked(yield func(*carrier) bool) {
	if w.main.wait != nil && !yield(&w.main) {
		return
	}
	for _, s := range w.compensating {
		if s.wait != nil && !yield(s) {
			return
		}
	}
}

// surelyRunnableLocked reports whether the carrier is runnable, in the common
// cases that need no search. If it returns false, a search has to decide.
func (s *carrier) surelyRunnableLocked() bool {
	if s.wait.input() && len(s.further) > 0 {
		return slices.ContainsFunc(s.further, (*wait).surelyRunnableLocked)
	}
	return s.wait.surelyRunnableLocked() || s.wait.chainRunnableLocked()
}

// input reports whether the wait is for the next input of a Map. The goroutine
// that iterates the inputs may be blocked in a further wait of the same
// carrier. In this case, the wait for the input depends on that further wait.
func (b *wait) input() bool { return len(b.on) == 0 && b.room == nil && !b.ended() }

func (b *wait) surelyRunnableLocked() bool {
	if b.external() || b.room != nil && b.room.freeLocked() {
		return true
	}
	for _, t := range b.on {
		if g, s := t.locateLocked(); g == nil && s == nil || g != nil && g.freeLocked() || s != nil && s.wait == nil {
			return true
		}
	}
	return false
}

// chainRunnableLocked follows the chain of waits that begins with b, and
// reports whether the last carrier of the chain is surely runnable.
func (b *wait) chainRunnableLocked() bool {
	if !b.single() {
		return false
	}
	_, s := b.on[0].locateLocked()
	if s == nil {
		return false
	}
	last := s.lastOf()
	return last.wait == nil || !last.wait.input() && len(last.further) == 0 && last.wait.surelyRunnableLocked()
}

// external reports whether the wait depends on no worker: it has ended, or it
// is for an event outside of the graph, such as the next input of a Map.
func (b *wait) external() bool { return len(b.on) == 0 && b.room == nil || b.ended() }

// ended reports whether the wait has ended, although its carrier may not have
// continued yet.
func (b *wait) ended() bool {
	if b.over {
		return true
	}
	select {
	case <-b.done:
		return true
	default:
	}
	if cap(b.ready) > 0 {
		return len(b.ready) > 0
	}
	select {
	case <-b.ready: // ready is closed
		return true
	default:
		return false
	}
}

// canEnd reports whether the wait can end before the awaited event.
func (b *wait) canEnd() bool {
	if b.ctx == nil {
		return b.early
	}
	return endsEarly(b.ctx, b.done)
}

// endsEarly reports whether a wait with ctx can end before the awaited event:
// at a deadline, or because ctx was derived from the task's own context and can
// be canceled. Cancellation of the whole task does not count, because every
// task can be canceled. done is the result of ctx.Done.
func endsEarly(ctx context.Context, done <-chan struct{}) bool {
	if _, ok := ctx.Deadline(); ok {
		return true
	}
	own, ok := ctx.Value(ownKey{}).(context.Context)
	return done != nil && (!ok || done != own.Done())
}

// ownKey is a context key: its value is the context that this package gave to
// the task, the item of a Map or the callback.
type ownKey struct{}

// canEnd reports whether a wait of the carrier can end before the awaited
// event, see wait.canEnd.
func (s *carrier) canEnd() bool {
	return s.wait.canEnd() || s.wait.input() && slices.ContainsFunc(s.further, (*wait).canEnd)
}

// locateLocked returns the group in whose queue the task is, or the carrier on
// whose stack it is. It returns neither if the task has settled, or is in a
// remote executor.
func (t *Task) locateLocked() (*WorkerGroup, *carrier) {
	if t.group == nil {
		return nil, nil
	}
	switch t.state() {
	case pending:
		return t.group, nil
	case running:
		return nil, t.carrier.Load()
	}
	return nil, nil
}

// freeLocked reports whether the group can start a queued task without help: a
// worker of the group runs a task or is idle, or no worker has joined the group
// yet.
func (g *WorkerGroup) freeLocked() bool { return g.blocked < len(g.workers) || len(g.workers) == 0 }

// blockedWorkerLocked returns a worker of the group whose tasks are all
// blocked. If first is such a worker, the result is first. Otherwise it is
// the blocked worker with the lowest id, or nil if there is none.
func (g *WorkerGroup) blockedWorkerLocked(first *Worker) *Worker {
	var best *Worker
	for w := range g.workers {
		if w.counted && (best == nil || w == first || best != first && w.id < best.id) {
			best = w
		}
	}
	return best
}
