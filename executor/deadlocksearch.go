package executor

import "slices"

// This file finds out which of the strands in the graph are stuck, see
// deadlock.go.

// search is the part of the graph that one suspended strand can reach, and
// the marks of the search in it: they are in strands and groups themselves,
// since a search may pass thousands. Tasks that wait in queues change their
// state during the search, so each is looked at once. The tasks of suspended
// strands do not change.
type search struct {
	round   uint64    // of this search; older marks do not count
	strands []*strand // in the order in which they were reached
	groups  []*WorkerGroup
	fresh   []*strand // alive; the strands in front of them are not yet marked
	descent descent
}

// behind has all that can end the wait of a strand.
type behind struct {
	elsewhere bool           // something outside of the graph can end it
	groups    []*WorkerGroup // it may end when one of these serves its queue
	strands   []*strand      // it may end when one of these resumes
}

// rescue lends one worker if one of the strands is stuck, and fails if that
// would not help. Lending one is enough: when its strand ends it looks again.
func (q *search) rescue(from []*strand) error {
	defer q.forget()
	q.collect(from)
	q.spread()
	if !slices.ContainsFunc(from, func(s *strand) bool { return !s.alive }) {
		return nil
	}
	// The strands are in the order of their distance, so this finds the nearest
	// group that can lend a worker. The whole group is stuck: otherwise the
	// strands in front of it would be alive.
	for _, s := range q.strands {
		if s.alive {
			continue
		}
		for _, g := range s.behind.groups {
			if w := g.lendableLocked(from[0].worker); w != nil {
				q.descent.begin(q, w.lendLocked())
				return nil
			}
		}
	}
	for _, s := range q.strands {
		if !s.alive && s.canEnd() {
			q.enliven(s)
		}
	}
	q.spreadFresh()
	if !slices.ContainsFunc(from, func(s *strand) bool { return !s.alive }) {
		return nil
	}
	return ErrDeadlock
}

func (q *search) collect(from []*strand) {
	q.round++
	for _, s := range from {
		q.add(s)
	}
	for i := 0; i < len(q.strands); i++ {
		s := q.strands[i]
		s.lookBehind()
		for _, t := range s.behind.strands {
			q.add(t)
			t.front = append(t.front, s)
		}
		for _, g := range s.behind.groups {
			q.addGroup(g)
			g.front = append(g.front, s)
		}
	}
}

func (q *search) add(s *strand) {
	if s.round != q.round {
		graph.steps++
		s.round, s.alive = q.round, false
		q.strands = append(q.strands, s)
	}
}

func (q *search) addGroup(g *WorkerGroup) {
	if g.round == q.round {
		return
	}
	g.round, g.alive = q.round, g.freeLocked()
	q.groups = append(q.groups, g)
	for w := range g.workers {
		for s := range w.suspendedLocked {
			q.add(s)
		}
	}
}

// lookBehind finds all that can end the waits of a strand.
func (s *strand) lookBehind() {
	v := &s.behind
	v.elsewhere, v.groups, v.strands = false, v.groups[:0], v.strands[:0]
	if s.wait.input() && len(s.beside) > 0 {
		for _, b := range s.beside {
			v.add(b)
		}
		return
	}
	v.add(s.wait)
}

func (v *behind) add(b *wait) {
	v.elsewhere = v.elsewhere || b.elsewhere()
	if b.room != nil {
		v.groups = append(v.groups, b.room)
	}
	for _, t := range b.on {
		switch g, s := t.whereLocked(); {
		case g != nil:
			v.groups = append(v.groups, g)
		case s != nil && s.wait != nil:
			v.strands = append(v.strands, s)
		default:
			v.elsewhere = true
		}
	}
}

// spread marks the strands and groups that are alive. It begins with strands
// that something outside of the graph can resume, and with groups that have a
// free worker, and continues with the strands that wait for these. A strand
// that is alive makes its group alive: its worker will take a task from the
// queue.
func (q *search) spread() {
	for _, s := range q.strands {
		if s.behind.elsewhere {
			q.enliven(s)
		}
	}
	for _, g := range q.groups {
		if g.alive {
			q.enliven(g.front...)
		}
	}
	q.spreadFresh()
}

// spreadFresh marks the strands in front of strands that are alive.
func (q *search) spreadFresh() {
	for len(q.fresh) > 0 {
		s := q.fresh[len(q.fresh)-1]
		q.fresh = q.fresh[:len(q.fresh)-1]
		q.enliven(s.front...)
		if g := s.worker.group; g.round == q.round && !g.alive {
			g.alive = true
			q.enliven(g.front...)
		}
	}
}

func (q *search) enliven(list ...*strand) {
	for _, s := range list {
		if !s.alive {
			s.alive = true
			q.fresh = append(q.fresh, s)
		}
	}
}

// forget removes the marks and references of the search.
func (q *search) forget() {
	for _, s := range q.strands {
		clear(s.front)
		s.front = s.front[:0]
	}
	for _, g := range q.groups {
		clear(g.front)
		g.front = g.front[:0]
	}
	clear(q.strands)
	clear(q.groups)
	q.strands, q.groups = q.strands[:0], q.groups[:0]
}
