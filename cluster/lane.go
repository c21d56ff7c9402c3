package cluster

import (
	"context"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/jet"
	"concert/cluster/internal/prefetch"
	"concert/cluster/internal/wire"
	"concert/executor"
)

// lane is the tasks of one function that have not been claimed, and what is
// known of those that were.
//
//	Submit, Map --> lane --Claim--> calls --> the cluster
//
// A lane has as many calls out as there are places for them in the workers that
// have the function, and, if they are quick, some more, so that a worker need
// not wait for the next one. So most of what can still be canceled for certain
// is here, and what one client has sent does not keep another one waiting for
// longer than each of its places takes.
type lane struct {
	function  string
	signature string // digest of its types
	queue     []*executor.Task
	outside   []*entrant     // those that wait for room, in turn
	mean      time.Duration  // about what a call runs; 0 if none has ended
	limit     int            // of quick calls that are out
	trips     int            // of calls that came back since the limit was set
	traveled  time.Duration  // what they took in all, from here to here
	out       map[string]int // calls that are out, by contract
	asleep    bool           // there is nobody to run it
	told      bool           // and that was said
}

const (
	leastLimit = 16
	mostLimit  = 1 << 14
	patience   = time.Second // before it is said that there is nobody
)

// took takes note of how long a call ran, and how long it was out for that. The
// network may be slower than the workers: more calls than come back within the
// lead, and some, would only be ahead of others.
func (l *lane) took(ran, out time.Duration) {
	l.mean = prefetch.Mean(l.mean, ran)
	l.trips++
	l.traveled += out
	if l.trips < l.limit {
		return
	}
	switch trip := l.traveled / time.Duration(l.trips); {
	case trip > 2*prefetch.Time+l.mean:
		l.limit = max(leastLimit, l.limit*3/4)
	case trip < prefetch.Time+l.mean:
		l.limit = min(mostLimit, l.limit*2)
	}
	l.trips, l.traveled = 0, 0
}

// entrant is a task that its submitter waits with for room.
type entrant struct {
	task     *executor.Task
	in       chan struct{} // closed when it need not wait any more
	accepted bool          // guarded by mu: it is in the queue; else the executor has closed
}

// sweep removes tasks that were canceled. The caller holds mu.
func (e *Executor) sweep(l *lane) {
	before := len(l.queue)
	l.queue = slices.DeleteFunc(l.queue, func(t *executor.Task) bool { return !t.Waiting() })
	e.waiting -= before - len(l.queue)
	e.letIn(l)
}

// letIn lets those in that there is room for. The caller holds mu.
func (e *Executor) letIn(l *lane) {
	for len(l.outside) > 0 && len(l.queue) < e.opts.Queue && !e.closed {
		e.letOneIn(l)
	}
}

func (e *Executor) letOneIn(l *lane) {
	first := l.outside[0]
	l.outside[0] = nil
	l.outside = l.outside[1:]
	first.accepted = true
	e.enqueue(l, first.task)
	close(first.in)
}

func (e *Executor) enqueue(l *lane, t *executor.Task) {
	l.queue = append(l.queue, t)
	e.waiting++
}

// Execute implements concert.Executor.
func (e *Executor) Execute(ctx context.Context, t *executor.Task) error {
	e.made()
	function := t.Function() // before anybody else has the task
	e.group.Adopt(t)
	number := ""
	if id, ok := ctx.Value(idKey{}).(string); ok {
		number = idNumber(function, submitIndex, id)
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return concert.ErrClosed
	}
	if number != "" {
		e.shared[t] = number
	}
	l := e.lane(function)
	if len(l.queue) < e.opts.Queue {
		e.enqueue(l, t)
		e.mu.Unlock()
		e.rouse()
		return nil
	}
	w := &entrant{task: t, in: make(chan struct{})}
	l.outside = append(l.outside, w)
	e.mu.Unlock()
	err := e.group.WaitRoom(ctx, w.in)
	e.mu.Lock()
	defer e.mu.Unlock()
	if w.accepted {
		e.rouse()
		return nil
	}
	delete(e.shared, t)
	if err != nil {
		l.outside = slices.DeleteFunc(l.outside, func(o *entrant) bool { return o == w })
		return err
	}
	return concert.ErrClosed
}

// lane returns the lane of a function. The caller holds mu.
func (e *Executor) lane(function string) *lane {
	l := e.lanes[function]
	if l == nil {
		l = &lane{function: function, signature: e.signature(function), limit: leastLimit, out: map[string]int{}}
		e.lanes[function] = l
		e.order = append(e.order, l)
	}
	return l
}

// Width implements concert.Executor: it returns twice the number of places of
// all workers.
func (e *Executor) Width() int {
	e.made()
	return max(1, 2*e.members.Slots())
}

// made panics if Dial has not made the Executor.
func (e *Executor) made() {
	if e == nil || e.group == nil {
		panic("cluster: the Executor is nil or zero: make it with Dial, and check its error")
	}
}

// dispatch claims calls and sends them, as long as there are places for them.
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

// expiryPeriod is how often it is looked for tasks that wait though their
// submitters' contexts have ended: there may be nobody to run them for long. To
// watch each of these contexts would cost the tasks that do not wait.
const expiryPeriod = 100 * time.Millisecond

// expire drops them.
func (e *Executor) expire() {
	var waiting []*executor.Task
	e.mu.Lock()
	for _, l := range e.lanes {
		waiting = append(waiting, l.queue...)
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

// dispatchOne claims calls of one task, and reports whether there was one.
func (e *Executor) dispatchOne() bool {
	e.mu.Lock()
	for i, l := range e.order {
		if len(l.queue) == 0 {
			continue
		}
		set, room := e.route(l)
		if c := e.calls[e.shared[l.queue[0]]]; room <= 0 && c != nil && !c.canceled {
			set, room = c.contract, 1 // it joins this call, and so needs no room
		}
		if room <= 0 {
			continue
		}
		// The others come first the next time.
		copy(e.order[i:], e.order[i+1:])
		e.order[len(e.order)-1] = l
		t := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		e.waiting--
		e.letIn(l)
		e.claims[t] = false
		e.encoding[t] = l // perhaps: Claim decides
		e.mu.Unlock()
		e.claim(l, t, set, room)
		return true
	}
	e.mu.Unlock()
	return false
}

// route returns the contract with most room for calls of the lane, and how much
// that is. Calls of functions that have no name are claimed at once, as that is
// how they fail. The caller holds mu.
func (e *Executor) route(l *lane) (set string, room int) {
	if l.function == "" {
		return "", 1
	}
	found := false
	for c, places := range e.members.Offers(l.function, l.signature) {
		found = true
		// As many of a function as there are places, whatever there is of
		// others, or the quick ones would leave no room for the slow ones.
		free := max(places-l.out[c], max(places, min(places*(1+prefetch.Calls(l.mean)), l.limit))-e.inflight[c]) + e.away[c]
		if free = min(free, wire.MaxTasksPerClient-e.inflight[c]); free > room { // more the servers do not take
			set, room = c, free
		}
	}
	switch {
	case !found && !l.asleep:
		l.asleep = true
		time.AfterFunc(patience, func() { e.tellAsleep(l) })
	case found && l.asleep:
		l.asleep = false
		if l.told {
			l.told = false
			go e.opts.Notice("a worker offers the function " + l.function + " again: its tasks continue")
		}
	}
	return set, room
}

// tellAsleep says that nobody runs tasks of the lane, if that has not changed.
func (e *Executor) tellAsleep(l *lane) {
	e.mu.Lock()
	tell := l.asleep && !l.told && e.ctx.Err() == nil
	l.told = l.told || tell
	e.mu.Unlock()
	if tell {
		e.opts.Notice("no worker offers the function " + l.function + ": its tasks wait until one does")
	}
}

const claimBytes = 4 << 20

// claim takes calls from a task and sends them.
func (e *Executor) claim(l *lane, t *executor.Task, set string, room int) {
	batch, again := t.Claim(room, claimBytes)
	var calls []*call
	if batch != nil {
		calls = e.newCalls(l, batch, set)
	}
	shared := len(calls) > 0 && calls[0].shared()
	var send, joined, replaced []*call
	e.mu.Lock()
	if e.claims[t] {
		calls = nil
	}
	for _, c := range calls {
		added, before := e.join(c)
		if before != nil {
			replaced = append(replaced, before)
		}
		if to := c.own.call; added && shared {
			send = append(send, c)
		} else if !added && !to.away {
			c.worker = to.worker
			joined = append(joined, c)
		}
	}
	delete(e.claims, t)
	if batch != nil || again || !t.Waiting() {
		delete(e.encoding, t)
		delete(e.shared, t)
	}
	e.checkEnd()
	e.mu.Unlock()
	e.watch(calls)
	for _, c := range replaced {
		e.finishEnd(c, e.drop)
	}
	for _, c := range joined {
		if c.worker >= 0 { // the call runs
			e.runs(&c.own, c.worker, nil)
		}
	}
	if shared {
		for _, c := range send {
			e.running.Go(func() { e.seek(c, e.sendAgain) })
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
	// A Map's task is not refused for want of room, but stands behind one that
	// waits for it: or a few Maps could keep the queue full for good.
	if len(l.outside) > 0 {
		e.letOneIn(l)
	}
	e.enqueue(l, t)
	e.mu.Unlock()
}
