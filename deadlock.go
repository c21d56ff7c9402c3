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
//     the wait is stuck, one blocked worker of the group that holds the way
//     up is asked to help: to run the next task of its own queue on top of
//     what it waits in, and then to look again.
//  4. If nothing waits in a queue and still the wait is stuck, the tasks wait
//     for each other in a circle, and the wait that closes it is refused with
//     ErrDeadlock.
//
// A worker helps its own group only, so a group of n workers never has more
// than n tasks that advance, and its tasks find the state of its own workers,
// even while groups wait for each other.
//
// A wait is stuck unless it is alive, and it is alive when one of the things
// that would end it can happen without help:
//
//	task settled                     yes
//	task not started, in a group     if a worker of the group is free, or its newest wait is alive
//	task running                     if its worker is free, or all waits on top of the task are alive
//	room in the queue of a group     as a task not started in that group
//
// "Can happen" is the smallest set that satisfies these lines, found by
// repeating them until nothing changes. It is only computed when a wait finds
// all workers of the group in question blocked.
//
// Why no deadlock is missed: a wait that is alive becomes stuck only when a
// worker that was free blocks or leaves. Both happen under graph.mu, and
// that worker then looks for itself, or for its group.

// graph guards the waits of all workers and the counts in their groups. It is
// locked when a worker blocks and when it wakes, never around user code.
var graph struct{ mu sync.Mutex }

// wait is one blocked wait of a worker.
type wait struct {
	worker *Worker
	task   *Task         // the task whose context the wait was given
	on     []*Task       // it ends when one of these settles
	room   *WorkerGroup  // or when this group, if any, takes a task from its queue
	help   chan struct{} // room for one: run the next task of your queue, then look again

	// counted says that the wait blocks its worker, as group.blocked has
	// it: the wait is of the newest task, and nobody has asked it to help.
	counted bool // guarded by graph.mu
}

// block waits until ready yields, with true, or the worker has helped its
// group once, with false and no error, or ctx ends. The caller looks again
// at what it waits for in each case.
func (w *Worker) block(ctx context.Context, self *Task, ready <-chan struct{}, on []*Task, room *WorkerGroup) (bool, error) {
	b := &wait{worker: w, task: self, on: on, room: room, help: make(chan struct{}, 1)}
	graph.mu.Lock()
	w.waits = append(w.waits, b)
	if w.top() == self {
		b.counted = true
		w.group.blocked++
	}
	err := b.rescueLocked()
	graph.mu.Unlock()

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
	s := search{alive: make(map[*wait]bool)}
	s.collect(b)
	s.spread()
	if s.alive[b] {
		return nil
	}
	// Collected nearest first, so the nearest group with something to do is
	// asked; it is stuck as a whole, or b would be alive.
	for _, c := range s.waits {
		if s.alive[c] {
			continue
		}
		for _, g := range c.groupsLocked() {
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
	if b.room != nil && b.room.freeLocked() {
		return true
	}
	for _, t := range b.on {
		if g, w := t.whereLocked(); g == nil && w == nil || g != nil && g.freeLocked() || w != nil && !w.blockedLocked() {
			return true
		}
	}
	return len(b.on) == 0 && b.room == nil
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

// groupsLocked returns the groups whose queues hold what the wait is on.
func (b *wait) groupsLocked() []*WorkerGroup {
	var groups []*WorkerGroup
	for _, t := range b.on {
		if g, _ := t.whereLocked(); g != nil {
			groups = append(groups, g)
		}
	}
	if b.room != nil {
		groups = append(groups, b.room)
	}
	return groups
}

// freeLocked reports whether a worker of the group is not blocked, or may
// still be started.
func (g *WorkerGroup) freeLocked() bool { return g.blocked < len(g.workers) || len(g.workers) == 0 }

// blockedLocked reports whether the worker's newest task is blocked.
func (w *Worker) blockedLocked() bool { n := len(w.waits); return n > 0 && w.waits[n-1].counted }

// helperLocked picks a blocked worker of the group, the given one if it is
// among them, and returns its newest wait.
func (g *WorkerGroup) helperLocked(first *Worker) *wait {
	var best *Worker
	for w := range g.workers {
		if w.blockedLocked() && (best == nil || w == first || best != first && w.id < best.id) {
			best = w
		}
	}
	if best == nil {
		return nil
	}
	return best.waits[len(best.waits)-1]
}

// rescueLocked looks after the waits of a group that lost a worker.
func (g *WorkerGroup) rescueLocked() {
	if g.freeLocked() {
		return
	}
	for w := range g.workers {
		// Its own waiter looks again after it has helped; a circle would
		// have been found when it closed.
		_ = w.waits[len(w.waits)-1].rescueLocked()
	}
}

// search is the part of the graph that one wait can reach.
type search struct {
	waits []*wait        // in the order in which they were reached
	alive map[*wait]bool // has a key for each of waits
}

func (s *search) collect(b *wait) {
	s.add(b)
	for i := 0; i < len(s.waits); i++ {
		c := s.waits[i]
		for _, g := range c.groupsLocked() {
			for w := range g.workers {
				if w.blockedLocked() {
					s.add(w.waits[len(w.waits)-1])
				}
			}
		}
		for _, t := range c.on {
			if _, w := t.whereLocked(); w != nil && w.blockedLocked() {
				for _, d := range w.above(t) {
					s.add(d)
				}
			}
		}
	}
}

func (s *search) add(b *wait) {
	if _, ok := s.alive[b]; !ok {
		s.alive[b] = false
		s.waits = append(s.waits, b)
	}
}

// above returns the waits of tasks that stand on the worker's stack at the
// height of t or higher.
func (w *Worker) above(t *Task) []*wait {
	var list []*wait
	floor := w.level(t)
	for _, b := range w.waits {
		if w.level(b.task) >= floor {
			list = append(list, b)
		}
	}
	return list
}

// spread marks waits alive until nothing changes.
func (s *search) spread() {
	for changed := true; changed; {
		changed = false
		for _, b := range s.waits {
			if !s.alive[b] && s.canEnd(b) {
				s.alive[b] = true
				changed = true
			}
		}
	}
}

func (s *search) canEnd(b *wait) bool {
	for _, t := range b.on {
		g, w := t.whereLocked()
		switch {
		case g != nil:
			if s.canServe(g) {
				return true
			}
		case w != nil:
			if !w.blockedLocked() || !slices.ContainsFunc(w.above(t), func(d *wait) bool { return !s.alive[d] }) {
				return true
			}
		default:
			return true
		}
	}
	return b.room != nil && s.canServe(b.room)
}

// canServe reports whether the group will take a task from its queue.
func (s *search) canServe(g *WorkerGroup) bool {
	if g.freeLocked() {
		return true
	}
	for w := range g.workers {
		if s.alive[w.waits[len(w.waits)-1]] {
			return true
		}
	}
	return false
}
