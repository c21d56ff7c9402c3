package cluster

import (
	"context"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/prefetch"
	"concert/executor"
)

// funcQueue is the tasks of one function that have not been claimed, and what is
// known of those that were.
//
//	Submit, Map --> lane --Claim--> calls --> the cluster
//
// A lane has as many calls out as there are places for them in the workers that
// have the function, and, if they are quick, some more, so that a worker need
// not wait for the next one. So most of what can still be canceled for certain
// is here, and what one client has sent does not keep another one waiting for
// longer than each of its places takes.
type funcQueue struct {
	function   string
	signature  string // digest of its types
	tasks      []*executor.Task
	waiters    []*waiter      // those that wait for room, in turn
	meanTime   time.Duration  // about what a call runs; 0 if none has ended
	limit      int            // of quick calls that are out
	returned   int            // of calls that came back since the limit was set
	roundTrips time.Duration  // what they took in all, from here to here
	sent       map[string]int // calls that are out, by contract
	noWorker   bool           // there is nobody to run it
	noticed    bool           // and that was said
}

const (
	minLimit    = 16
	maxLimit    = 1 << 14
	noticeDelay = time.Second // before it is said that there is nobody
)

// record takes note of how long a call ran, and how long it was out for that. The
// network may be slower than the workers: more calls than come back within the
// lead, and some, would only be ahead of others.
func (l *funcQueue) record(ran, out time.Duration) {
	l.meanTime = prefetch.Mean(l.meanTime, ran)
	l.returned++
	l.roundTrips += out
	if l.returned < l.limit {
		return
	}
	switch trip := l.roundTrips / time.Duration(l.returned); {
	case trip > 2*prefetch.Time+l.meanTime:
		l.limit = max(minLimit, l.limit*3/4)
	case trip < prefetch.Time+l.meanTime:
		l.limit = min(maxLimit, l.limit*2)
	}
	l.returned, l.roundTrips = 0, 0
}

// waiter is a task that its submitter waits with for room.
type waiter struct {
	task     *executor.Task
	admitted chan struct{} // closed when it need not wait any more
	accepted bool          // guarded by mu: it is in the queue; else the executor has closed
}

// removeCanceledLocked removes tasks that were canceled. The caller holds mu.
func (e *Executor) removeCanceledLocked(l *funcQueue) {
	before := len(l.tasks)
	l.tasks = slices.DeleteFunc(l.tasks, func(t *executor.Task) bool { return !t.Waiting() })
	e.queued -= before - len(l.tasks)
	e.admitLocked(l)
}

// admitLocked lets those in that there is room for. The caller holds mu.
func (e *Executor) admitLocked(l *funcQueue) {
	for len(l.waiters) > 0 && len(l.tasks) < e.opts.Queue && !e.closed {
		e.admitOneLocked(l)
	}
}

func (e *Executor) admitOneLocked(l *funcQueue) {
	first := l.waiters[0]
	l.waiters[0] = nil
	l.waiters = l.waiters[1:]
	first.accepted = true
	e.enqueueLocked(l, first.task)
	close(first.admitted)
}

func (e *Executor) enqueueLocked(l *funcQueue, t *executor.Task) {
	l.tasks = append(l.tasks, t)
	e.queued++
}

// Execute implements concert.Executor.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	e.mustDial()
	function := t.Function() // before anybody else has the task
	e.group.Adopt(t)
	number := ""
	if id, ok := ctx.Value(idKey{}).(string); ok {
		number = numberOfID(function, submitIndex, id)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return concert.ErrClosed
	}
	if number != "" {
		e.callNumbers[t] = number
	}
	l := e.queueLocked(function)
	if len(l.tasks) < e.opts.Queue {
		e.enqueueLocked(l, t)
		e.mu.Unlock()
		e.notify()
		return nil
	}
	w := &waiter{task: t, admitted: make(chan struct{})}
	l.waiters = append(l.waiters, w)
	e.mu.Unlock()
	err := e.group.WaitRoom(ctx, w.admitted)
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.accepted {
		e.notify()
		return nil
	}
	delete(e.callNumbers, t)
	if err != nil {
		l.waiters = slices.DeleteFunc(l.waiters, func(o *waiter) bool { return o == w })
		return err
	}
	return concert.ErrClosed
}

// queueLocked returns the lane of a function. The caller holds mu.
func (e *Executor) queueLocked(function string) *funcQueue {
	l := e.queues[function]
	if l == nil {
		l = &funcQueue{function: function, signature: e.signature(function), limit: minLimit, sent: map[string]int{}}
		e.queues[function] = l
		e.turns = append(e.turns, l)
	}
	return l
}

// Width implements concert.Executor: it returns twice the number of places of
// all workers.
func (e *Executor) Width() int {
	e.mustDial()
	return max(1, 2*e.members.Slots())
}

// mustDial panics if Dial has not made the Executor.
func (e *Executor) mustDial() {
	if e == nil || e.group == nil {
		panic("cluster: the Executor is nil or zero: make it with Dial, and check its error")
	}
}
