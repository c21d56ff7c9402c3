package executor

// This file keeps deep recursion cheap. If a task waits for a task, which waits
// for a task, and so on, their carriers form a chain of suspended carriers. A
// search that walks the chain at each new wait would make the cost of n waits
// quadratic. There are two shortcuts: lastOf and descent. A shortcut never
// contradicts a search. If it cannot decide, a search is made.
//
// If a group has changed between two waits of the chain, a shortcut cannot
// decide. This happens only where the operating system or the scheduler has
// stopped a goroutine in between. So the number of searches grows with the
// duration of a recursion, not with its depth.

// lastOf returns the last carrier of the chain that begins with s. Each carrier
// of a chain is suspended in a wait for exactly one task, and this task is on
// the stack of the next carrier. lastOf stores the result in the carriers of
// the chain. The result is valid until a carrier resumes.
func (s *carrier) lastOf() *carrier {
	graph.chain++
	last := s
	for {
		next := last.nextLocked()
		if next == nil || next.chain == graph.chain { // last is the end of the chain, or the chain is a circle
			break
		}
		last.chain = graph.chain
		last = next
		graph.steps++
	}
	for s != last {
		next := s.nextLocked()
		s.last, s.lastAt = last, graph.resumed
		if s = next; s == nil {
			break
		}
	}
	return last
}

// nextLocked returns the next carrier of the chain, or a later one that lastOf
// has stored. It returns nil at the end of the chain.
func (s *carrier) nextLocked() *carrier {
	if s.last != nil && s.lastAt == graph.resumed && s.wait != nil {
		return s.last
	}
	if s.wait == nil || !s.wait.single() || s.wait.ended() {
		return nil
	}
	_, next := s.wait.on[0].locateLocked()
	return next
}

// descent is the result of the last search that started a compensating carrier.
// The search has found groups in which all suspended carriers depend on one
// carrier, which is called the tip. At first, the tip is the compensating
// carrier. When the tip blocks on the queue of one of these groups, before
// anything else has changed in the groups, the tip is stuck as well. Then the
// next compensating carrier starts without a search. When the tip blocks on a
// task that another carrier runs, that carrier becomes the tip. Other waits of
// the tip, for example for an event outside of the graph, change nothing.
// Guarded by graph.mu.
type descent struct {
	tip    *carrier
	ended  uint32 // value of tip.ended when this carrier became the tip
	via    *wait  // wait of the previous tip for the task that the tip runs; nil for a compensating carrier
	round  uint64 // number of the search that started the descent
	groups []*WorkerGroup
	epochs []uint64 // epochs[i] is the expected epoch of groups[i]; another value means that the group has changed
}

// holds reports whether s is the tip, the tip still runs the same task, and no
// group has changed.
func (d *descent) holds(s *carrier) bool {
	d.follow(s)
	if d.tip != s || s.ended.Load() != d.ended {
		return false
	}
	if d.via != nil {
		if _, runs := d.via.on[0].locateLocked(); runs != s || d.via.ended() {
			return false
		}
	}
	for i, g := range d.groups {
		if g.epoch != d.epochs[i] {
			return false
		}
	}
	return true
}

// follow makes s the tip if s runs the task that the current tip waits for.
// This task must be the first task that has started on s. The method follow
// is for tasks of Go: their goroutine often starts after the tip has
// blocked.
func (d *descent) follow(s *carrier) {
	if d.tip == nil || d.tip == s || d.tip.wait == nil || !d.tip.wait.single() || len(d.tip.further) > 0 {
		return
	}
	if t := d.tip.wait.on[0]; s.ended.Load() == 0 && s.base.Load() == t && t.state() == running {
		d.tip, d.ended, d.via = s, 0, d.tip.wait
	}
}

// keep stores the current epochs of the groups, so that the descent stays
// valid. It is called after changes that only the tip has made, and when
// another carrier becomes the tip.
func (d *descent) keep() {
	for i, g := range d.groups {
		d.epochs[i] = g.epoch
	}
}

// become makes the carrier the tip. via is the wait of the previous tip for the
// task that runs on this carrier, or nil for a compensating carrier.
func (d *descent) become(tip *carrier, via *wait) {
	d.tip, d.ended, d.via = tip, tip.ended.Load(), via
	d.keep()
}

// pass is called when the tip has blocked, but is surely runnable, so that no
// compensating carrier is necessary. If the tip waits for one task, and the
// carrier of this task is not suspended, that carrier becomes the tip.
// Otherwise the tip does not change.
func (d *descent) pass() {
	b := d.tip.wait
	if b.single() && len(d.tip.further) == 0 {
		if _, s := b.on[0].locateLocked(); s != nil && s.wait == nil {
			d.become(s, b)
			return
		}
	}
	d.keep()
}

// begin starts a descent with the result of the search q, which has just
// started the compensating carrier tip.
func (d *descent) begin(q *search, tip *carrier) {
	d.forget()
	d.round = q.round
	d.tip = tip
	for _, s := range q.carriers {
		if !s.runnable {
			d.add(q, s.worker.group)
		}
	}
	for _, g := range q.groups {
		if !g.runnable {
			d.add(q, g)
		}
	}
	d.become(tip, nil)
}

// add adds a group to the descent, and sets g.stuck if all suspended carriers
// of the group are stuck. If the search has not visited the group as a whole,
// add examines each of its carriers.
func (d *descent) add(q *search, g *WorkerGroup) {
	if g.descended == q.round {
		return
	}
	g.descended, g.stuck = q.round, true
	d.groups = append(d.groups, g)
	d.epochs = append(d.epochs, g.epoch)
	if g.round == q.round {
		g.stuck = !g.runnable
		return
	}
	for w := range g.workers {
		if w.held && w != d.tip.worker {
			g.stuck = false
			return
		}
		for s := range w.suspendedLocked {
			if s.round != q.round || s.runnable {
				g.stuck = false
				return
			}
		}
	}
}

// The method next is called after the tip has blocked on queues. It starts a
// compensating carrier, which becomes the new tip. If the group will surely
// make progress without a new carrier, next starts none. In both cases, next
// returns true. If the shortcut cannot decide whether a carrier is
// necessary, next does nothing and returns false. Then a search is
// necessary.
func (d *descent) next() bool {
	s := d.tip
	if s.wait.input() || len(s.further) > 0 {
		return false
	}
	s.findDependencies()
	if s.dependencies.external || len(s.dependencies.carriers) > 0 {
		return false
	}
	for _, g := range s.dependencies.groups {
		if g.descended != d.round || !g.stuck || g.freeLocked() {
			return false // the search did not find that the whole group is stuck, or a worker has become free
		}
	}
	for _, g := range s.dependencies.groups {
		if w := g.blockedWorkerLocked(s.worker); w != nil {
			if g.movesLocked(w) {
				return true // another carrier is about to resume
			}
			d.become(w.compensateLocked(), nil)
			return true
		}
	}
	return false
}

// forget ends the descent, and removes its references so that the garbage
// collector can free the carriers and groups.
func (d *descent) forget() {
	d.tip, d.via = nil, nil
	clear(d.groups)
	d.groups, d.epochs = d.groups[:0], d.epochs[:0]
}

// movesLocked reports whether a group will surely make progress after one of
// its workers was released: another worker runs a task, or a carrier that
// was suspended on the worker is about to resume. When a chain of waits
// ends, each carrier of the chain resumes the previous carrier.
func (g *WorkerGroup) movesLocked(w *Worker) bool {
	if g.freeLocked() {
		return true
	}
	const few = 4
	for i := len(w.compensating) - 1; i >= max(0, len(w.compensating)-few); i-- {
		if w.compensating[i].resumesLocked(few) {
			return true
		}
	}
	return w.main.resumesLocked(few)
}

// single reports whether the wait is for exactly one task, and not for room in
// a queue.
func (b *wait) single() bool { return len(b.on) == 1 && b.room == nil }

// resumesLocked reports whether the wait of a suspended carrier has ended, or
// depends on a task that has settled or whose carrier runs or resumes. It
// follows at most n waits.
func (s *carrier) resumesLocked(n int) bool {
	if s.wait == nil {
		return false
	}
	for range n {
		if s.wait.ended() {
			return true
		}
		if !s.wait.single() {
			return false
		}
		g, next := s.wait.on[0].locateLocked()
		if next == nil {
			return g == nil // the task has settled, or runs elsewhere; otherwise it is queued
		}
		if s = next; s.wait == nil {
			return true
		}
	}
	return false
}
