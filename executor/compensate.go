package executor

import (
	"math/rand/v2"
	"slices"
)

// This file, worker.go and deadlock.go are for executors whose workers are
// goroutines of this process. They implement a rule of package concert: if
// tasks wait with their own contexts, the awaited tasks run, even if waiting
// tasks block all workers. While a carrier of a worker waits, another
// carrier may hold the worker and run further tasks.

// lastIndex is like slices.Index, but searches from the end.
func lastIndex[T comparable](list []T, v T) int {
	i := len(list) - 1
	for i >= 0 && list[i] != v {
		i--
	}
	return i
}

// recountLocked updates w.counted and the group's number of blocked workers,
// after w.held or w.parked has changed.
func (w *Worker) recountLocked() {
	now := !w.held && !w.parked
	if now == w.counted {
		return
	}
	if w.counted = now; now {
		w.group.blocked++
	} else {
		w.group.blocked--
	}
}

// ticket is a request of a carrier for a worker that another carrier holds.
type ticket struct {
	granted  chan struct{} // has a buffer of one; gets an element when the carrier holds the worker
	replaced chan struct{} // closed when another ticket has replaced this one
}

// releaseLocked passes the worker to the carrier with the oldest ticket. If
// there is no ticket, it marks the worker as free.
func (w *Worker) releaseLocked() {
	if len(w.resuming) > 0 {
		next := w.resuming[0]
		w.resuming[0] = nil
		w.resuming = w.resuming[1:]
		w.hasTickets.Store(len(w.resuming) > 0)
		next.granted <- struct{}{}
	} else {
		w.held = false
	}
	w.recountLocked()
}

// acquireLocked acquires the worker if it is free, and returns nil. Otherwise
// it queues a ticket for the worker, and returns the ticket.
func (w *Worker) acquireLocked() *ticket {
	if !w.held {
		w.held = true
		w.recountLocked()
		return nil
	}
	c := &ticket{make(chan struct{}, 1), make(chan struct{})}
	w.resuming = append(w.resuming, c)
	w.hasTickets.Store(true)
	return c
}

// acquire blocks until the main carrier holds the worker.
func (w *Worker) acquire() {
	graph.mu.Lock()
	c := w.acquireLocked()
	graph.mu.Unlock()
	if c != nil {
		<-c.granted
	}
}

// yield passes the worker to the carriers that have a ticket, one after
// another, and then acquires the worker again.
func (w *Worker) yield() {
	graph.mu.Lock()
	if len(w.resuming) == 0 {
		graph.mu.Unlock()
		return
	}
	c := w.acquireLocked()
	w.releaseLocked()
	graph.mu.Unlock()
	<-c.granted
}

// Drain blocks until the worker is not Busy. In the meantime, other carriers
// may hold the worker. An executor calls Drain before Leave, and before it
// counts all tasks as settled, because tasks of compensating carriers settle
// during Drain.
func (w *Worker) Drain() {
	w.Resume()
	for w.Busy() {
		graph.mu.Lock()
		if w.vacant == nil {
			w.vacant = make(chan struct{})
		}
		vacant := w.vacant
		if len(w.compensating) == 0 {
			close(vacant)
			w.vacant = nil
		}
		w.releaseLocked()
		w.rescueLocked()
		graph.mu.Unlock()
		<-vacant
		w.acquire()
	}
}

// suspend adds the wait to the wait graph and releases the worker. A task
// can start goroutines that use its context. So one of them may wait while
// another wait has suspended the carrier already. In this case, suspend adds
// the wait to the further waits of the carrier. It returns a channel that is
// closed when the first wait of the carrier has ended.
func (s *carrier) suspend(b *wait, self *Task) (changed <-chan struct{}, err error) {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	descending := graph.search.descent.holds(s)
	switch {
	case s.wait != nil:
		s.worker.group.epoch++
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		s.further = append(s.further, b)
		if err := s.rescueLocked(); err != nil && !b.canEnd() {
			s.leaveLocked(b)
			return nil, err
		}
		return s.changed, nil
	case s.top() != self:
		return nil, errNotTop
	}
	s.wait = b
	s.suspended.Store(true)
	s.worker.releaseLocked()
	s.worker.group.epoch++
	if descending {
		if s.surelyRunnableLocked() {
			graph.search.descent.pass()
		} else if graph.search.descent.next() {
			return nil, nil
		}
	}
	return nil, s.rescueLocked()
}

// leave removes b from the further waits of the carrier.
func (s *carrier) leave(b *wait) {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	s.leaveLocked(b)
}

func (s *carrier) leaveLocked(b *wait) {
	if i := slices.Index(s.further, b); i >= 0 {
		s.further = slices.Delete(s.further, i, i+1)
		s.worker.group.epoch++
	}
}

// resume ends the wait: it blocks until the carrier holds the worker again.
// The task may have ended in the meantime: then the caller is a goroutine
// that the ended task has started, and the carrier runs other tasks. In this
// case, resume returns without the worker.
func (s *carrier) resume(b *wait) {
	graph.mu.Lock()
	if s.wait != b {
		graph.mu.Unlock()
		return
	}
	b.over = true
	descending := graph.search.descent.holds(s)
	s.worker.group.epoch++
	if s.ticket = s.worker.acquireLocked(); s.ticket == nil {
		s.clearLocked()
		if descending {
			graph.search.descent.keep()
		}
		graph.mu.Unlock()
		return
	}
	c := s.ticket
	graph.mu.Unlock()
	select {
	case <-c.granted:
		graph.mu.Lock()
		if s.wait == b {
			s.clearLocked()
		}
		graph.mu.Unlock()
	case <-c.replaced:
	}
}

// clearLocked marks the carrier as not suspended, and wakes the goroutines of
// its further waits.
func (s *carrier) clearLocked() {
	if graph.search.descent.via == s.wait {
		graph.search.descent.forget()
	}
	s.wait, s.ticket = nil, nil
	s.last = nil
	graph.resumed++
	s.worker.group.epoch++
	s.suspended.Store(false)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// reclaim acquires the worker for a carrier whose task has ended. The task
// may have left a goroutine that waits with the task's context. Then the
// carrier is still suspended.
func (s *carrier) reclaim() {
	w := s.worker
	graph.mu.Lock()
	if s.wait == nil {
		graph.mu.Unlock()
		return
	}
	old := s.ticket
	s.clearLocked()
	if old != nil {
		i := slices.Index(w.resuming, old)
		if i < 0 {
			graph.mu.Unlock() // this carrier has just received the worker
			return
		}
		// The other goroutine still waits for its ticket: replace the ticket.
		close(old.replaced)
		c := &ticket{make(chan struct{}, 1), make(chan struct{})}
		w.resuming[i] = c
		graph.mu.Unlock()
		<-c.granted
		return
	}
	c := w.acquireLocked()
	graph.mu.Unlock()
	if c != nil {
		<-c.granted
	}
}

// compensateLocked starts a compensating carrier, which holds the worker and
// serves the queue. It returns this carrier. When it is called, no carrier may
// hold the worker.
func (w *Worker) compensateLocked() *carrier {
	s := &carrier{worker: w, begun: rand.Uint32()} // random, because many carriers run only a few tasks: so each task is timed with the same probability
	w.compensating = append(w.compensating, s)
	w.compensators.Add(1)
	w.held = true
	w.recountLocked()
	go s.serve()
	return s
}

// serve runs tasks from the queue until it is empty, or another carrier has a
// ticket for the worker.
func (s *carrier) serve() {
	defer s.end() // runs even if a task ends the goroutine
	for {
		t := s.worker.group.local.Next()
		if t == nil {
			return
		}
		s.run(t)
		s.ended.Add(1)
		if s.worker.hasTickets.Load() {
			return
		}
	}
}

// end releases the worker when the compensating carrier s has ended. If no
// other carrier acquires the worker, all tasks that the worker has started are
// blocked again, and may be stuck.
func (s *carrier) end() {
	w := s.worker
	graph.mu.Lock()
	defer graph.mu.Unlock()
	i := lastIndex(w.compensating, s)
	w.compensating = slices.Delete(w.compensating, i, i+1)
	w.group.epoch++
	if graph.search.descent.tip == s {
		graph.search.descent.forget()
	}
	w.compensators.Add(-1)
	if len(w.compensating) == 0 && w.vacant != nil {
		close(w.vacant)
		w.vacant = nil
	}
	w.releaseLocked()
	if w.group.movesLocked(w) {
		return // the group makes progress, so no carrier that waits for it is stuck
	}
	w.rescueLocked()
}
