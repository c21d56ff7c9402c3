package client

import (
	"time"

	"concert"
	"concert/cluster/internal/prefetch"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// dispatch claims calls and sends them when workers have free slots. It returns
// when the executor ends.
func (e *Executor) dispatch() {
	tick, expiry := time.NewTicker(e.conn.Times.HeartbeatPeriod), time.NewTicker(expiryPeriod)
	defer tick.Stop()
	defer expiry.Stop()
	since := map[string]time.Time{}
	for {
		for e.dispatchOne() {
		}
		select {
		case <-e.wake:
		case <-tick.C:
			e.reroute(since)
			e.renewShared()
		case <-expiry.C:
			e.expire()
		case <-e.ctx.Done():
			return
		}
	}
}

// notify wakes the dispatcher.
func (e *Executor) notify() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// expiryPeriod is the time between two calls of Executor.expire. Without these
// calls, a task whose context has ended could stay queued for long if no worker
// offers its function. A context.AfterFunc for each context would slow down all
// tasks.
const expiryPeriod = 100 * time.Millisecond

// expire cancels queued tasks whose submitters' contexts have ended.
func (e *Executor) expire() {
	var waiting []*executor.Task
	e.mu.Lock()
	for _, q := range e.queues {
		waiting = append(waiting, q.tasks.TasksLocked()...)
	}
	e.mu.Unlock()
	expired := false
	for _, t := range waiting {
		expired = t.Expire() || expired
	}
	if expired {
		(*groupQueue)(e).Dropped()
	}
}

// dispatchOne claims calls of one task, and sends them. It reports false if no
// queue has a task for which there is a free slot.
func (e *Executor) dispatchOne() bool {
	e.mu.Lock()
	for i, q := range e.rotation {
		first := q.tasks.FirstLocked()
		if first == nil {
			continue
		}
		set, free := e.routeLocked(q)
		if c := e.calls[e.callNumbers[first]]; free <= 0 && c != nil && !c.canceled {
			set, free = c.setName, 1 // the task joins this call, and so needs no free slot
		}
		if free <= 0 {
			continue
		}
		// The next dispatchOne begins with the other queues.
		copy(e.rotation[i:], e.rotation[i+1:])
		e.rotation[len(e.rotation)-1] = q
		q.tasks.RemoveFirstLocked()
		e.claiming[first] = false
		e.encoding[first] = q // needed if Claim calls methods of the program
		e.mu.Unlock()
		e.claim(q, first, set, free)
		return true
	}
	e.mu.Unlock()
	return false
}

// routeLocked returns the capability set to which the client can send the most
// calls of a queue now, and the number of these calls. For a function without a
// name, the number is 1, because Claim settles the call with an error.
func (e *Executor) routeLocked(q *funcQueue) (set string, free int) {
	if q.function == "" {
		return "", 1
	}
	found := false
	for c, slots := range e.members.Offers(q.function, q.signature) {
		found = true
		// The first argument of max lets each function have as many calls as
		// there are slots, whatever calls of other functions were sent.
		// Otherwise a function with quick calls would use all slots. The second
		// argument permits the client to send quick calls of a function in
		// advance, and counts the calls of all functions. Calls that wait for
		// another attempt use no slot.
		n := max(slots-q.sent[c], max(slots, min(slots*(1+prefetch.Calls(q.meanTime)), q.limit))-e.inflight[c]) + e.retrying[c]
		if n = min(n, wire.MaxTasksPerClient-e.inflight[c]); n > free { // the servers refuse more
			set, free = c, n
		}
	}
	switch {
	case !found && !q.noWorker:
		q.noWorker = true
		time.AfterFunc(noticeDelay, func() { e.noticeNoWorker(q) })
	case found && q.noWorker:
		q.noWorker = false
		if q.noticed {
			q.noticed = false
			go e.opts.Notice("a worker offers the function " + q.function + " again: its tasks continue")
		}
	}
	return set, free
}

// noticeNoWorker calls Options.Notice if no worker offers the function of a
// queue.
func (e *Executor) noticeNoWorker(q *funcQueue) {
	e.mu.Lock()
	notice := q.noWorker && !q.noticed && e.ctx.Err() == nil
	q.noticed = q.noticed || notice
	e.mu.Unlock()
	if notice {
		e.opts.Notice("no worker offers the function " + q.function + ": its tasks wait until a worker offers it")
	}
}

const claimBytes = 4 << 20

// claim claims calls of a task, and sends them.
func (e *Executor) claim(q *funcQueue, t *executor.Task, set string, free int) {
	batch, again := t.Claim(free, claimBytes)
	var calls []*call
	if batch != nil {
		calls = e.newCalls(q, batch, set)
	}
	shared := len(calls) > 0 && calls[0].shared()
	var send, joined, replaced []*call
	e.mu.Lock()
	if e.claiming[t] {
		calls = nil
	}
	for _, c := range calls {
		added, before := e.joinLocked(c)
		if before != nil {
			replaced = append(replaced, before)
		}
		if to := c.own.call; added && shared {
			send = append(send, c)
		} else if !added && !to.retrying {
			c.slotNumber = to.slotNumber
			joined = append(joined, c)
		}
	}
	delete(e.claiming, t)
	if batch != nil || again || !t.Waiting() {
		delete(e.encoding, t)
		delete(e.callNumbers, t)
	}
	e.checkSettledLocked()
	e.mu.Unlock()
	e.watchContext(calls)
	for _, c := range replaced {
		e.settleRemoved(c, e.settleCanceled)
	}
	for _, c := range joined {
		if c.slotNumber >= 0 { // the call runs
			e.reportRunning(&c.own, c.slotNumber, nil)
		}
	}
	if shared {
		for _, c := range send {
			e.background.Go(func() { e.findKept(c, e.resend) })
		}
	} else {
		e.sendAll(calls)
	}
	if !again {
		return
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		t.Fail(concert.ErrClosed)
		return
	}
	q.tasks.AgainLocked(t) // a Map, which has more calls
	e.mu.Unlock()
}
