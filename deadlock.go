package concert

import (
	"context"
	"slices"
	"sync"
)

// How waits stay free of deadlock
//
// A worker that runs a task and blocks in a wait cannot serve its queue. When
// all workers of a group do so, and what they wait for stands in their own
// queue, or in the queue of a group in the same state, nothing would ever move.
// Four rules prevent it. Each needs to know that the waiter is a worker, which
// is what the task's own context says.
//
//  1. A worker that waits for a task of its own group that has not started
//     runs it at once, on top of the task that waits (Worker.await).
//  2. A worker that submits to its own group, whose queue is full, runs the
//     task at once (WorkerGroup.RunHere).
//  3. A worker that blocks otherwise enters its wait into the graph below. If
//     it is stuck, one blocked worker of a group that holds the way up is
//     asked to help: to run the next task of its own queue on top of what it
//     waits in, and then to look again.
//  4. If a worker is stuck and no queue holds the way up, tasks wait for each
//     other in a circle, and the wait that closes it fails with ErrDeadlock.
//
// A worker helps its own group only, so a group of n workers never has more
// than n tasks that advance, and its tasks find the state of its own workers,
// even while groups wait for each other.
//
// A worker is stuck unless it is alive. It is alive if its newest task does
// not wait, or waits for one of these:
//
//	something that has happened meanwhile
//	a task that has settled, or runs or may start elsewhere
//	a task that runs on a worker that is alive
//	a task not started, in a group with a worker that is alive
//	room in the queue of a group with a worker that is alive
//
// The alive ones are the smallest set that satisfies these lines, found by
// repeating them until nothing changes; that is only done when a wait finds
// no worker in its way that does not wait.
//
// Why no deadlock is missed: a worker that is alive becomes stuck only when
// one that did not wait blocks or leaves. Both happen under graph.mu, and that
// one then looks for itself, or its group. A worker with several waits on its
// stack is judged by the newest; it looks again when it gets back to the one
// below.
//
// Why helping makes no deadlock, if tasks wait only for tasks that they have
// submitted: suppose all unfinished tasks are stuck for good. Each waits for a
// child that has started, or its wait is over and it lies beneath a task that
// was put on top of it. Going from child to child, and from beneath to on top,
// one comes round to where one was. But each step leads to a task that started
// later: a child starts after its parent, and only tasks that have not started
// are put on top. Where futures are handed around, a step may lead to an older
// task, and the circle can close: rule 4.

// graph guards the waits of all workers and the counts in their groups. It is
// locked when a worker blocks and when it wakes, never around user code.
var graph struct{ mu sync.Mutex }

// wait is one blocked wait of a worker.
type wait struct {
	worker *Worker
	ready  <-chan struct{} // it ends when this is closed, or has something in its buffer
	on     []*Task         // which one of these will do,
	room   *WorkerGroup    // or this group, if any, when it takes a task from its queue
	help   chan struct{}   // room for one: run the next task of your queue, then look again

	// counted says that the wait blocks its worker, as group.blocked has
	// it: the wait is of the newest task, and nobody has asked it to help.
	counted bool // guarded by graph.mu
}

// block waits until ready is closed or yields, with true, or the worker has helped its
// group once, with false and no error, or ctx ends. The caller looks again
// at what it waits for in each case.
func (w *Worker) block(ctx context.Context, self *Task, ready <-chan struct{}, on []*Task, room *WorkerGroup) (bool, error) {
	b := &wait{worker: w, ready: ready, on: on, room: room, help: make(chan struct{}, 1)}
	err := b.enter(self)

	yielded, help := false, false
	if err == nil {
		select {
		case <-ready:
			yielded = true
		case <-b.help:
			help = true
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}

	graph.mu.Lock()
	b.discountLocked()
	graph.mu.Unlock()
	defer func() {
		graph.mu.Lock()
		i := slices.Index(w.waits, b)
		w.waits = slices.Delete(w.waits, i, i+1)
		graph.mu.Unlock()
	}()
	if help {
		if t := w.group.queue.Next(); t != nil {
			w.runNested(t)
		}
	}
	return yielded, err
}

// enter puts the wait into the graph.
func (b *wait) enter(self *Task) error {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	w := b.worker
	// A goroutine that the task has started may wait with the task's context
	// while the task does not, or waits as well: the worker counts once.
	b.counted = w.top() == self && w.newestLocked() == nil
	w.waits = append(w.waits, b)
	if b.counted {
		w.group.blocked++
	}
	return b.rescueLocked()
}

func (b *wait) discountLocked() {
	if b.counted {
		b.counted = false
		b.worker.group.blocked--
	}
}

// rescueLocked asks a worker to help if the wait is stuck, and fails if none
// can.
func (b *wait) rescueLocked() error {
	if b.easyLocked() {
		return nil
	}
	if !b.counted {
		return nil // the worker itself does not wait
	}
	s := search{at: make(map[*Worker]int)}
	s.collect(b.worker)
	s.spread()
	if s.nodes[0].alive {
		return nil
	}
	// Collected nearest first, so the nearest group with something to do is
	// asked; it is stuck as a whole, or b's worker would be alive.
	for _, n := range s.nodes {
		if n.alive {
			continue
		}
		for _, g := range n.groups {
			if h := g.helperLocked(b.worker); h != nil {
				h.discountLocked()
				h.help <- struct{}{}
				return nil
			}
		}
	}
	return ErrDeadlock
}

// easyLocked settles the common case without a search: something that the
// wait is on can advance by itself, for sure.
func (b *wait) easyLocked() bool {
	if b.elsewhere() {
		return true
	}
	if b.room != nil && b.room.freeLocked() {
		return true
	}
	for _, t := range b.on {
		if g, w := t.whereLocked(); g == nil && w == nil || g != nil && g.freeLocked() || w != nil && w.newestLocked() == nil {
			return true
		}
	}
	return false
}

// elsewhere reports whether no worker stands in the way: the wait has ended
// and the worker only has to wake, or it is for something outside, as a Map's
// next input.
func (b *wait) elsewhere() bool {
	if len(b.on) == 0 && b.room == nil {
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

// whereLocked returns the group in whose queue a task waits, or the worker
// that runs it, or neither when it needs neither to get on.
func (t *Task) whereLocked() (*WorkerGroup, *Worker) {
	if t.group == nil {
		return nil, nil
	}
	switch t.state() {
	case pending:
		return t.group, nil
	case running:
		return nil, t.worker.Load()
	}
	return nil, nil
}

// freeLocked reports whether a worker of the group is not blocked, or may
// still be started.
func (g *WorkerGroup) freeLocked() bool { return g.blocked < len(g.workers) || len(g.workers) == 0 }

// newestLocked returns the worker's newest wait, if it is blocked in it.
func (w *Worker) newestLocked() *wait {
	for _, b := range slices.Backward(w.waits) {
		if b.counted {
			return b
		}
	}
	return nil
}

// helperLocked picks a blocked worker of the group, the given one if it is
// among them, and returns its newest wait.
func (g *WorkerGroup) helperLocked(first *Worker) *wait {
	var best *Worker
	for w := range g.workers {
		if w.newestLocked() != nil && (best == nil || w == first || best != first && w.id < best.id) {
			best = w
		}
	}
	if best == nil {
		return nil
	}
	return best.newestLocked()
}

// rescueLocked looks after the workers of a group that lost one.
func (g *WorkerGroup) rescueLocked() {
	for w := range g.workers {
		if b := w.newestLocked(); b != nil {
			// A circle would have been found when it closed.
			_ = b.rescueLocked()
		}
	}
}

// search is the part of the graph that one blocked worker can reach. Tasks that
// wait in queues change their state while it goes on, so each is looked at
// once. What blocked workers run does not change.
type search struct {
	nodes []node // in the order in which they were reached
	at    map[*Worker]int
}

// node is a blocked worker and what would end its newest wait.
type node struct {
	elsewhere bool           // something outside
	groups    []*WorkerGroup // one of these groups serving its queue
	workers   []*Worker      // one of these workers, that was blocked, getting on
	alive     bool
}

func (s *search) collect(from *Worker) {
	list := []*Worker{from}
	s.at[from] = 0
	add := func(w *Worker) {
		if _, known := s.at[w]; !known && w.newestLocked() != nil {
			s.at[w] = len(list)
			list = append(list, w)
		}
	}
	for i := 0; i < len(list); i++ {
		n := list[i].newestLocked().nodeLocked()
		for _, w := range n.workers {
			add(w)
		}
		for _, g := range n.groups {
			for w := range g.workers {
				add(w)
			}
		}
		s.nodes = append(s.nodes, n)
	}
}

func (b *wait) nodeLocked() node {
	n := node{elsewhere: b.elsewhere()}
	if b.room != nil {
		n.groups = append(n.groups, b.room)
	}
	for _, t := range b.on {
		switch g, w := t.whereLocked(); {
		case g != nil:
			n.groups = append(n.groups, g)
		case w != nil && w.newestLocked() != nil:
			n.workers = append(n.workers, w)
		default:
			n.elsewhere = true
		}
	}
	return n
}

// spread marks workers alive until nothing changes, the farthest first, as
// life comes from there.
func (s *search) spread() {
	for changed := true; changed; {
		changed = false
		for i := range slices.Backward(s.nodes) {
			if n := &s.nodes[i]; !n.alive && s.canEnd(n) {
				n.alive, changed = true, true
			}
		}
	}
}

func (s *search) canEnd(n *node) bool {
	return n.elsewhere ||
		slices.ContainsFunc(n.workers, func(w *Worker) bool { return s.nodes[s.at[w]].alive }) ||
		slices.ContainsFunc(n.groups, s.canServe)
}

// canServe reports whether the group will take a task from its queue.
func (s *search) canServe(g *WorkerGroup) bool {
	if g.freeLocked() {
		return true
	}
	for w := range g.workers {
		if i, blocked := s.at[w]; !blocked || s.nodes[i].alive {
			return true
		}
	}
	return false
}
