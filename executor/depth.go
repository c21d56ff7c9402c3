package executor

// This file has what keeps deep recursion cheap. A task that waits for a task
// that waits, and so on, is a chain of suspended strands; a search that walks
// the chain at each new wait would make the cost of n waits quadratic. Both
// shortcuts only ever prove what a search would find: where they cannot, the
// search is made.

// lastOf follows a chain of strands that are each suspended in a wait for one
// task, on the stack of the next, and returns where it ends. It stores the end
// in the strands that it passed, for as long as none resumes.
func (s *strand) lastOf() *strand {
	graph.chain++
	last := s
	for {
		next := last.nextLocked()
		if next == nil || next.chain == graph.chain { // its end, or a circle
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

// nextLocked returns the strand that the chain continues with, or one further
// along, or nil.
func (s *strand) nextLocked() *strand {
	if s.last != nil && s.lastAt == graph.resumed && s.wait != nil {
		return s.last
	}
	if s.wait == nil || !s.wait.single() || s.wait.ended() {
		return nil
	}
	_, next := s.wait.on[0].whereLocked()
	return next
}

// A descent is what the last search that lent a worker has shown: that all
// suspended strands of some groups can only continue if one strand does, the
// heir, to which the worker was lent. So when the heir blocks on the queue of
// one of these groups, before anything else has happened in them, it is stuck
// as well, and the next worker can be lent without a search. When the heir
// blocks on a task that another strand runs, that strand becomes the heir. What
// the heir itself does, such as a wait for something outside, changes nothing.
// Guarded by graph.mu.
type descent struct {
	heir   *strand
	ended  uint32 // heir.ended when it became the heir
	via    *wait  // of the heir before, for the task that the heir runs; nil for a strand that was lent
	round  uint64 // of the search
	groups []*WorkerGroup
	epochs []uint64 // of the groups, then
}

// holds reports whether s is the heir, and nothing else has happened.
func (d *descent) holds(s *strand) bool {
	d.follow(s)
	if d.heir != s || s.ended.Load() != d.ended {
		return false
	}
	if d.via != nil {
		if _, runs := d.via.on[0].whereLocked(); runs != s || d.via.ended() {
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

// follow makes s the heir if it runs the task that the heir waits for, and this
// task is the first that has ever been started on s. The goroutine of Go often
// starts only after the heir has blocked.
func (d *descent) follow(s *strand) {
	if d.heir == nil || d.heir == s || d.heir.wait == nil || !d.heir.wait.single() || len(d.heir.beside) > 0 {
		return
	}
	if t := d.heir.wait.on[0]; s.ended.Load() == 0 && s.base.Load() == t && t.state() == running {
		d.heir, d.ended, d.via = s, 0, d.heir.wait
	}
}

// keep records the epochs again after the heir has changed them.
func (d *descent) keep() {
	for i, g := range d.groups {
		d.epochs[i] = g.epoch
	}
}

// become makes another strand the heir.
func (d *descent) become(heir *strand, via *wait) {
	d.heir, d.ended, d.via = heir, heir.ended.Load(), via
	d.keep()
}

// pass finds the next heir when the heir has blocked in a wait that is easy.
func (d *descent) pass() {
	b := d.heir.wait
	if b.single() && len(d.heir.beside) == 0 {
		if _, s := b.on[0].whereLocked(); s != nil && s.wait == nil {
			d.become(s, b)
			return
		}
	}
	d.keep()
}

// begin notes the heir of a search.
func (d *descent) begin(q *search, heir *strand) {
	d.forget()
	d.round = q.round
	d.heir = heir
	for _, s := range q.strands {
		if !s.alive {
			d.add(q, s.worker.group)
		}
	}
	for _, g := range q.groups {
		if !g.alive {
			d.add(q, g)
		}
	}
	d.become(heir, nil)
}

// add adds a group, and finds out whether all of it is stuck: the search has
// looked at the queues of some groups, and of others at single strands.
func (d *descent) add(q *search, g *WorkerGroup) {
	if g.descended == q.round {
		return
	}
	g.descended, g.stuck = q.round, true
	d.groups = append(d.groups, g)
	d.epochs = append(d.epochs, g.epoch)
	if g.round == q.round {
		g.stuck = !g.alive
		return
	}
	for w := range g.workers {
		if w.held && w != d.heir.worker {
			g.stuck = false
			return
		}
		for s := range w.suspendedLocked {
			if s.round != q.round || s.alive {
				g.stuck = false
				return
			}
		}
	}
}

// next lends a worker to a new heir when the heir has blocked, unless the group
// of that worker surely moves. It reports false if a search has to tell.
func (d *descent) next() bool {
	s := d.heir
	if s.wait.input() || len(s.beside) > 0 {
		return false
	}
	s.lookBehind()
	if s.behind.elsewhere || len(s.behind.strands) > 0 {
		return false
	}
	for _, g := range s.behind.groups {
		if g.descended != d.round || !g.stuck || g.freeLocked() {
			return false // it was not searched
		}
	}
	for _, g := range s.behind.groups {
		if w := g.lendableLocked(s.worker); w != nil {
			if g.movesLocked(w) {
				return true // another one is about to resume
			}
			d.become(w.lendLocked(), nil)
			return true
		}
	}
	return false
}

// forget keeps nothing alive.
func (d *descent) forget() {
	d.heir, d.via = nil, nil
	clear(d.groups)
	d.groups, d.epochs = d.groups[:0], d.epochs[:0]
}

// movesLocked reports whether a group of which a worker was just released
// surely moves: another worker has work in hand, or a strand that the worker
// has suspended lately is about to resume. When a chain of waits ends, each
// strand of it does so for the one before.
func (g *WorkerGroup) movesLocked(w *Worker) bool {
	if g.freeLocked() {
		return true
	}
	const few = 4
	for i := len(w.lent) - 1; i >= max(0, len(w.lent)-few); i-- {
		if w.lent[i].resumesLocked(few) {
			return true
		}
	}
	return w.main.resumesLocked(few)
}

// single reports whether the wait is for one task and nothing else.
func (b *wait) single() bool { return len(b.on) == 1 && b.room == nil }

// resumesLocked reports whether the wait of a suspended strand has ended, or is
// for one that resumes or runs, a few strands along.
func (s *strand) resumesLocked(few int) bool {
	if s.wait == nil {
		return false
	}
	for range few {
		if s.wait.ended() {
			return true
		}
		if !s.wait.single() {
			return false
		}
		g, next := s.wait.on[0].whereLocked()
		if next == nil {
			return g == nil // it has settled
		}
		if s = next; s.wait == nil {
			return true
		}
	}
	return false
}
