package client

import (
	"time"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/prefetch"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// dispatch claims calls and sends them while there are slots for them. It
// returns when the executor ends.
func (e *Executor) dispatch() {
	tick, look := time.NewTicker(jet.HeartbeatPeriod), time.NewTicker(expiryPeriod)
	defer tick.Stop()
	defer look.Stop()
	without := map[string]time.Time{}
	for {
		for e.dispatchOne() {
		}
		select {
		case <-e.wake:
		case <-tick.C:
			e.reroute(without)
		case <-look.C:
			e.expire()
		case <-e.ctx.Done():
			return
		}
	}
}

// expiryPeriod is how often the client looks for queued tasks whose submitters'
// contexts have ended. Such a task may wait for long if no worker offers its
// function. A watch over each of these contexts would slow down all other
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

// dispatchOne claims calls of one task, and reports whether there was a task.
func (e *Executor) dispatchOne() bool {
	e.mu.Lock()
	for i, q := range e.turns {
		first := q.tasks.FirstLocked()
		if first == nil {
			continue
		}
		set, room := e.routeLocked(q)
		if c := e.calls[e.callNumbers[first]]; room <= 0 && c != nil && !c.canceled {
			set, room = c.setName, 1 // the task joins this call, and so needs no room
		}
		if room <= 0 {
			continue
		}
		// The other queues come first the next time.
		copy(e.turns[i:], e.turns[i+1:])
		e.turns[len(e.turns)-1] = q
		t := q.tasks.NextLocked() // first
		e.claiming[t] = false
		e.encoding[t] = q // for the case that Claim calls methods of the program
		e.mu.Unlock()
		e.claim(q, t, set, room)
		return true
	}
	e.mu.Unlock()
	return false
}

// routeLocked returns the capability set with most room for calls of a queue,
// and how many calls have room. Calls of a function without a name are claimed
// at once: Claim returns their error. The caller holds mu.
func (e *Executor) routeLocked(q *funcQueue) (set string, room int) {
	if q.function == "" {
		return "", 1
	}
	found := false
	for c, slots := range e.members.Offers(q.function, q.signature) {
		found = true
		// As many calls of a function as there are slots, regardless of other
		// functions: otherwise quick calls would leave no room for slow ones.
		free := max(slots-q.sent[c], max(slots, min(slots*(1+prefetch.Calls(q.meanTime)), q.limit))-e.inflight[c]) + e.retrying[c]
		if free = min(free, wire.MaxTasksPerClient-e.inflight[c]); free > room { // the servers refuse more
			set, room = c, free
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
	return set, room
}

// noticeNoWorker reports that no worker offers a function, if that is still so.
func (e *Executor) noticeNoWorker(q *funcQueue) {
	e.mu.Lock()
	tell := q.noWorker && !q.noticed && e.ctx.Err() == nil
	q.noticed = q.noticed || tell
	e.mu.Unlock()
	if tell {
		e.opts.Notice("no worker offers the function " + q.function + ": its tasks wait until one does")
	}
}

const claimBytes = 4 << 20

// claim claims calls of a task, and sends them.
func (e *Executor) claim(q *funcQueue, t *executor.Task, set string, room int) {
	batch, again := t.Claim(room, claimBytes)
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
