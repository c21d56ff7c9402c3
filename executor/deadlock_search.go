package executor

import "slices"

// This file finds the carriers of the graph that are stuck: see deadlock.go.

// search holds the part of the graph that can be reached from the carriers with
// which the search begins. The results are stored in fields of the carriers and
// groups, because a search may visit thousands of them. The state of a queued
// task may change during a search, so the search reads it once. The tasks of
// suspended carriers do not change.
type search struct {
	round    uint64     // number of this search; results of earlier ones are invalid
	carriers []*carrier // in the order in which they were reached
	groups   []*WorkerGroup
	unspread []*carrier // runnable carriers whose dependents are not marked yet
	descent  descent
}

// dependencies lists everything that can end the wait of a carrier.
type dependencies struct {
	external bool           // an event outside of the graph can end the wait
	groups   []*WorkerGroup // the wait may end when one of these groups serves its queue
	carriers []*carrier     // the wait may end when one of these carriers resumes
}

// rescue starts one compensating carrier if one of the given carriers is stuck.
// It returns ErrDeadlock if there is such a carrier, and no queue that a
// compensating carrier could serve. One compensating carrier is enough: when it
// ends, it makes a new search.
func (q *search) rescue(from []*carrier) error {
	defer q.forget()
	q.collect(from)
	q.spread()
	if !slices.ContainsFunc(from, func(s *carrier) bool { return !s.runnable }) {
		return nil
	}
	// The carriers are in the order of their distance, so this finds the
	// nearest group with a blocked worker. The whole group is stuck: otherwise
	// its dependents would be runnable.
	for _, s := range q.carriers {
		if s.runnable {
			continue
		}
		for _, g := range s.dependencies.groups {
			if w := g.blockedWorkerLocked(from[0].worker); w != nil {
				q.descent.begin(q, w.compensateLocked())
				return nil
			}
		}
	}
	for _, s := range q.carriers {
		if !s.runnable && s.canEnd() {
			q.markRunnable(s)
		}
	}
	q.spreadRest()
	if !slices.ContainsFunc(from, func(s *carrier) bool { return !s.runnable }) {
		return nil
	}
	return ErrDeadlock
}

func (q *search) collect(from []*carrier) {
	q.round++
	for _, s := range from {
		q.add(s)
	}
	for i := 0; i < len(q.carriers); i++ {
		s := q.carriers[i]
		s.findDependencies()
		for _, t := range s.dependencies.carriers {
			q.add(t)
			t.dependents = append(t.dependents, s)
		}
		for _, g := range s.dependencies.groups {
			q.addGroup(g)
			g.dependents = append(g.dependents, s)
		}
	}
}

func (q *search) add(s *carrier) {
	if s.round != q.round {
		graph.steps++
		s.round, s.runnable = q.round, false
		q.carriers = append(q.carriers, s)
	}
}

func (q *search) addGroup(g *WorkerGroup) {
	if g.round == q.round {
		return
	}
	g.round, g.runnable = q.round, g.freeLocked()
	q.groups = append(q.groups, g)
	for w := range g.workers {
		for s := range w.suspendedLocked {
			q.add(s)
		}
	}
}

// findDependencies stores in s.dependencies everything that can end the waits
// of the carrier.
func (s *carrier) findDependencies() {
	v := &s.dependencies
	v.external, v.groups, v.carriers = false, v.groups[:0], v.carriers[:0]
	if s.wait.input() && len(s.further) > 0 {
		for _, b := range s.further {
			v.add(b)
		}
		return
	}
	v.add(s.wait)
}

func (v *dependencies) add(b *wait) {
	v.external = v.external || b.external()
	if b.room != nil {
		v.groups = append(v.groups, b.room)
	}
	for _, t := range b.on {
		switch g, s := t.locateLocked(); {
		case g != nil:
			v.groups = append(v.groups, g)
		case s != nil && s.wait != nil:
			v.carriers = append(v.carriers, s)
		default:
			v.external = true
		}
	}
}

// spread marks the carriers and groups that are runnable. It begins with the
// carriers that an event outside of the graph can resume, and with the groups
// that have a free worker, and continues with their dependents. A runnable
// carrier makes its group runnable: its worker will take a task from the queue.
func (q *search) spread() {
	for _, s := range q.carriers {
		if s.dependencies.external {
			q.markRunnable(s)
		}
	}
	for _, g := range q.groups {
		if g.runnable {
			q.markRunnable(g.dependents...)
		}
	}
	q.spreadRest()
}

// spreadRest marks the dependents of the carriers in q.unspread as runnable,
// and then their dependents, until none is left.
func (q *search) spreadRest() {
	for len(q.unspread) > 0 {
		s := q.unspread[len(q.unspread)-1]
		q.unspread = q.unspread[:len(q.unspread)-1]
		q.markRunnable(s.dependents...)
		if g := s.worker.group; g.round == q.round && !g.runnable {
			g.runnable = true
			q.markRunnable(g.dependents...)
		}
	}
}

func (q *search) markRunnable(list ...*carrier) {
	for _, s := range list {
		if !s.runnable {
			s.runnable = true
			q.unspread = append(q.unspread, s)
		}
	}
}

// forget removes the references of the search, so that the garbage collector
// can free the carriers and groups.
func (q *search) forget() {
	for _, s := range q.carriers {
		clear(s.dependents)
		s.dependents = s.dependents[:0]
	}
	for _, g := range q.groups {
		clear(g.dependents)
		g.dependents = g.dependents[:0]
	}
	clear(q.carriers)
	clear(q.groups)
	q.carriers, q.groups = q.carriers[:0], q.groups[:0]
}
