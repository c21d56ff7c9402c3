package executor

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
)

// strand is a goroutine that runs tasks for a worker. The first, main, is the
// one that calls Run. Others stand in for it while all that the worker has
// started waits: a worker that is blocked is lent to a strand that runs the
// next task of the queue. A strand whose wait is over takes the worker back,
// when the one that has it blocks or has done its task.
//
//	   run --block--> suspended --wait over--> resuming --granted--> run
//	worker:  released                   in line            held
//
// A strand has a stack of tasks: one from the queue, and on top of it those
// that it runs itself because the one below waits for them.
type strand struct {
	worker *Worker

	// base is the task from the queue. It stays when the task has ended, since
	// to clear it costs, until the next one or Rest.
	base atomic.Pointer[Task]

	mu     sync.Mutex
	nested []*Task // guarded by mu: tasks run on top of base, newest last

	suspended atomic.Bool // wait is set; changed under graph.mu

	// Guarded by graph.mu:
	wait    *wait         // what it is suspended in
	claim   *claim        // its place in line for the worker, when the wait is over
	beside  []*wait       // further waits with the task's context
	changed chan struct{} // closed when wait ends; made when first needed
	round   uint64        // of the search that was here last
	behind  behind        // what stands behind its waits, in that search
	front   []*strand     // those that wait for this one
	alive   bool          // what it found
	chain   uint64        // see lastOf
	last    *strand       // likewise
	lastAt  uint64        // graph.resumed then

	ended atomic.Uint32 // tasks that have ended on it; see descent
}

// start takes a waiting task to running, unless its context has ended.
func (s *strand) start(t *Task) bool {
	if cause, ended := t.parentEnd(s); ended {
		t.fail(&neverStarted{cause}, s)
		return false
	}
	if !t.move(pending, running) {
		return false
	}
	t.strand.Store(s)
	return true
}

// run runs a task from the queue.
func (s *strand) run(t *Task) {
	if !s.start(t) {
		return
	}
	s.base.Store(t)
	again := true // so it stays when run does not return
	defer func() {
		if s.suspended.Load() {
			s.reclaim()
		}
		if again {
			s.again(t)
		}
	}()
	again = t.job.run(t)
}

// openEvery is how many tasks on a stack leave their contexts as they are until
// one opens its own, so that these do not become a long chain (see package
// lazy).
const openEvery = 16

// runNested runs a waiting task of the worker's group on top of the task that
// waits for it. It reports whether the task was still waiting.
func (s *strand) runNested(t *Task) bool {
	if !s.start(t) {
		return false
	}
	s.mu.Lock()
	s.nested = append(s.nested, t)
	n := len(s.nested)
	s.mu.Unlock()
	if n%openEvery == 0 {
		t.context().Done()
	}
	again := true // so it stays when run does not return
	defer func() {
		if s.suspended.Load() {
			s.reclaim()
		}
		s.ended.Add(1)
		s.mu.Lock()
		i := lastIndex(s.nested, t)
		s.nested = slices.Delete(s.nested, i, i+1)
		s.mu.Unlock()
		if again {
			s.again(t)
		}
	}()
	again = t.job.run(t)
	return true
}

// again gives a task that has more to do another turn. Its strand is unset
// first: whoever finds the task pending may start it, and sets it.
func (s *strand) again(t *Task) {
	if t.state() != running {
		return // it settled, and then ended the goroutine
	}
	t.strand.Store(nil)
	if !t.move(running, pending) {
		return
	}
	// Whoever ends a Map: 1. ends its context, 2. cancels the tasks that are
	// pending. Here: 1. it is pending, 2. we look at the context.
	if t.ctx.Parent.Err() != nil {
		t.fail(&neverStarted{context.Cause(t.ctx.Parent)}, s)
		return
	}
	s.worker.group.queue.Again(t)
}

// lastIndex is slices.Index from the end, where what came last is.
func lastIndex[T comparable](list []T, v T) int {
	i := len(list) - 1
	for i >= 0 && list[i] != v {
		i--
	}
	return i
}

// tasks appends the tasks on the stack.
func (s *strand) tasks(list []*Task) []*Task {
	if t := s.base.Load(); t != nil && t.state() == running && t.strand.Load() == s {
		list = append(list, t)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(list, s.nested...)
}

// top returns the newest task on the stack.
func (s *strand) top() *Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.nested); n > 0 {
		return s.nested[n-1]
	}
	return s.base.Load()
}

// recountLocked keeps group.blocked in step with held and parked.
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

// claim is a place in the line for a worker.
type claim struct {
	granted chan struct{} // room for one: the worker is yours
	gone    chan struct{} // closed when somebody else has taken the place
}

// releaseLocked passes the worker on to the next in line, or leaves it free.
func (w *Worker) releaseLocked() {
	if len(w.resuming) > 0 {
		next := w.resuming[0]
		w.resuming[0] = nil
		w.resuming = w.resuming[1:]
		w.wanted.Store(len(w.resuming) > 0)
		next.granted <- struct{}{}
	} else {
		w.held = false
	}
	w.recountLocked()
}

// claimLocked takes the worker, with nil, or a place in line for it.
func (w *Worker) claimLocked() *claim {
	if !w.held {
		w.held = true
		w.recountLocked()
		return nil
	}
	c := &claim{make(chan struct{}, 1), make(chan struct{})}
	w.resuming = append(w.resuming, c)
	w.wanted.Store(true)
	return c
}

// acquire waits until main has the worker.
func (w *Worker) acquire() {
	graph.mu.Lock()
	c := w.claimLocked()
	graph.mu.Unlock()
	if c != nil {
		<-c.granted
	}
}

// yield lets those in line have the worker, and takes it back after them.
func (w *Worker) yield() {
	graph.mu.Lock()
	if len(w.resuming) == 0 {
		graph.mu.Unlock()
		return
	}
	c := w.claimLocked()
	w.releaseLocked()
	graph.mu.Unlock()
	<-c.granted
}

// suspend enters the wait into the graph and gives the worker up. If the
// strand is suspended already, a goroutine that the task has started is, with
// the task's context, or is this one: then the wait only stands beside the
// other, and changed is closed when that has ended.
func (s *strand) suspend(b *wait, self *Task) (changed <-chan struct{}, err error) {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	descending := graph.search.descent.holds(s)
	switch {
	case s.wait != nil:
		s.worker.group.epoch++
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		s.beside = append(s.beside, b)
		if err := s.rescueLocked(); err != nil && !b.canEnd() {
			s.leaveLocked(b)
			return nil, err
		}
		return s.changed, nil
	case s.top() != self:
		return nil, errNotMine
	}
	s.wait = b
	s.suspended.Store(true)
	s.worker.releaseLocked()
	s.worker.group.epoch++
	if descending {
		if s.easyLocked() {
			graph.search.descent.pass()
		} else if graph.search.descent.next() {
			return nil, nil
		}
	}
	return nil, s.rescueLocked()
}

// leave takes back a wait that stands beside another.
func (s *strand) leave(b *wait) {
	graph.mu.Lock()
	defer graph.mu.Unlock()
	s.leaveLocked(b)
}

func (s *strand) leaveLocked(b *wait) {
	if i := slices.Index(s.beside, b); i >= 0 {
		s.beside = slices.Delete(s.beside, i, i+1)
		s.worker.group.epoch++
	}
}

// goOn ends the wait, once the strand has the worker again. If the task has
// ended meanwhile, its goroutine has that, and this one is a goroutine that it
// left behind.
func (s *strand) goOn(b *wait) {
	graph.mu.Lock()
	if s.wait != b {
		graph.mu.Unlock()
		return
	}
	b.over = true
	descending := graph.search.descent.holds(s)
	s.worker.group.epoch++
	if s.claim = s.worker.claimLocked(); s.claim == nil {
		s.clearLocked()
		if descending {
			graph.search.descent.keep()
		}
		graph.mu.Unlock()
		return
	}
	c := s.claim
	graph.mu.Unlock()
	select {
	case <-c.granted:
		graph.mu.Lock()
		if s.wait == b {
			s.clearLocked()
		}
		graph.mu.Unlock()
	case <-c.gone:
	}
}

// clearLocked ends the suspension.
func (s *strand) clearLocked() {
	if graph.search.descent.via == s.wait {
		graph.search.descent.forget()
	}
	s.wait, s.claim = nil, nil
	s.last = nil
	graph.resumed++
	s.worker.group.epoch++
	s.suspended.Store(false)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// reclaim is called when a task has ended and its strand is suspended all the
// same: by a goroutine that the task has left behind in a wait.
func (s *strand) reclaim() {
	w := s.worker
	graph.mu.Lock()
	if s.wait == nil {
		graph.mu.Unlock()
		return
	}
	old := s.claim
	s.clearLocked()
	if old != nil {
		i := slices.Index(w.resuming, old)
		if i < 0 {
			graph.mu.Unlock() // it was just granted: to this strand
			return
		}
		// Take its place in line.
		close(old.gone)
		c := &claim{make(chan struct{}, 1), make(chan struct{})}
		w.resuming[i] = c
		graph.mu.Unlock()
		<-c.granted
		return
	}
	c := w.claimLocked()
	graph.mu.Unlock()
	if c != nil {
		<-c.granted
	}
}

// lendLocked starts a strand that serves the queue with the worker, which
// nobody has, and returns it.
func (w *Worker) lendLocked() *strand {
	s := &strand{worker: w}
	w.lent = append(w.lent, s)
	w.others.Add(1)
	w.held = true
	w.recountLocked()
	go s.serve()
	return s
}

// serve runs tasks from the queue until there is none, or somebody wants the
// worker back.
func (s *strand) serve() {
	defer s.end() // also when a task ends the goroutine
	for {
		t := s.worker.group.queue.Next()
		if t == nil {
			return
		}
		s.run(t)
		s.ended.Add(1)
		if s.worker.wanted.Load() {
			return
		}
	}
}

// end gives the worker back. If nobody takes it, all that it has started waits
// again, and may be stuck.
func (s *strand) end() {
	w := s.worker
	graph.mu.Lock()
	defer graph.mu.Unlock()
	i := lastIndex(w.lent, s)
	w.lent = slices.Delete(w.lent, i, i+1)
	w.group.epoch++
	if graph.search.descent.heir == s {
		graph.search.descent.forget()
	}
	w.others.Add(-1)
	if len(w.lent) == 0 && w.vacant != nil {
		close(w.vacant)
		w.vacant = nil
	}
	w.releaseLocked()
	if w.group.movesLocked(w) {
		return // what waits for the group can go on waiting
	}
	w.rescueLocked()
}
