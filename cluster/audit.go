package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concert"
	"concert/cluster/internal/wire"
)

// A call settles by a message, and messages can be lost: results expire before
// their client has taken them, as during an absence, or when the clock of the
// servers jumps forward; servers lose disks; an administrator purges a stream. So
// the client audits its calls: it asks the servers what they have of each call that
// has been outstanding for long.
//
// The states of a call, as its client, the queue, a worker and the store of results
// see it. In each of them something makes progress, but for the last two:
//
//	client     queue    worker    results
//	entered    -        -         -          the argument is being stored, or a kept result looked up
//	posted     ?        -         -          the client publishes the task until the queue has acknowledged it
//	sent       task     -         -          it waits for a worker
//	sent       task     runs      -          if the worker is lost, the lease ends, and the task is delivered again
//	sent       task     done      result     the worker acknowledges the task; so does any worker that it is delivered to
//	sent       -        -         result     the session's consumer delivers the result until the client acknowledges it
//	settled    ?        ?         ?          leftovers are acknowledged, and discarded
//	sent       -        runs      -          the task was lost: its result settles the call, unless the worker is lost
//	sent       -        -         -          all was lost: no message will ever come
//
// A worker has its result stored before it acknowledges the task, and a client has
// settled a call before it acknowledges the result. So a call that is sent and has
// not settled, and of which the servers have neither the task nor a result, is in
// one of the last two states. The client sends it again, as it does when a worker
// is lost: the task may run twice, and one result counts. After mostMissed times
// the call settles with ErrLost.
//
// A call is audited auditAge after it was sent, and then again after each auditAge.
// After the connection was lost, or the servers have forgotten the session, all
// calls are audited at once. One request is of wire.MostAudited calls, and there is
// one in each auditPeriod: so n calls are audited every n/50 s, or auditAge if that is
// longer. After the loss of the connection, and to confirm that a call is absent,
// there is one in each auditPause.
const (
	auditAge    = 30 * time.Second
	auditPeriod = 5 * time.Second
	auditPause  = time.Second
)

// finding is what an audit has found of a call.
type finding struct {
	at    time.Time // of the audit
	state wire.State
	since time.Time // of the first of the audits with this state
}

// verdict is what is to be done about a call.
type verdict int

const (
	wait   verdict = iota
	renew          // make the consumer of results anew: it does not deliver one that is stored
	resend         // the call
	fail           // settle the call with ErrLost
)

// judge returns what is to be done about a call whose audits have had the same
// state for the duration since. An unwanted call is canceled. A call was sent again
// missed times.
//
// A server that has begun to lead a moment ago may be behind the one before, so
// wire.Absent counts when it was found twice.
func judge(state wire.State, since time.Duration, unwanted bool, missed int) verdict {
	switch {
	case state == wire.Answered && since >= auditAge:
		return renew
	case state != wire.Absent || since < auditPause:
		return wait
	case unwanted || missed >= mostMissed:
		return fail
	default:
		return resend
	}
}

// due reports whether a call is to be audited now: f is its last finding, nil if
// there is none. A call that was sent or audited before doubted is due.
func (f *finding) due(sent, doubted, now time.Time) bool {
	if f == nil {
		return now.Sub(sent) >= auditAge || sent.Before(doubted)
	}
	return now.Sub(f.at) >= auditAge || f.at.Before(doubted) || f.absent() && now.Sub(f.at) >= auditPause
}

// absent reports whether the call was found to be absent, which is to be confirmed.
func (f *finding) absent() bool { return f != nil && f.state == wire.Absent }

// doubt has all calls that were sent be audited at once.
func (e *Executor) doubt() (calls int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doubted = time.Now()
	for c := range e.entered() {
		if c.posted && !c.gone {
			calls++
		}
	}
	select {
	case e.doubts <- struct{}{}:
	default:
	}
	return calls
}

// audit audits calls until the executor ends.
func (e *Executor) audit() {
	most, pause := wire.MostAudited, auditPeriod
	reconnected := e.link.reconnected.wait()
	for {
		select {
		case <-time.After(pause):
		case <-e.doubts:
		case <-reconnected:
			reconnected = e.link.reconnected.wait()
			e.doubt()
		case <-e.ctx.Done():
			return
		}
		soon, err := e.auditDue(time.Now(), most)
		pause = auditPeriod
		if soon || err != nil {
			pause = auditPause
		}
		if err != nil { // the servers may be too busy for so many
			most = max(1, most/2)
		} else {
			most = min(2*most, wire.MostAudited)
		}
	}
}

// auditDue audits up to most of the calls that are due now, and reports whether
// others are due soon.
func (e *Executor) auditDue(now time.Time, most int) (soon bool, err error) {
	e.auditing.Lock()
	defer e.auditing.Unlock()
	calls, soon := e.overdue(now, most)
	if len(calls) == 0 {
		return soon, nil
	}
	if !e.link.nc.IsConnected() { // requests would wait for the connection
		return true, nil
	}
	states, err := e.ask(calls)
	if err != nil {
		return true, err
	}
	return e.found(calls, states, now) || soon, nil
}

// audited is a call, and what the servers are asked about it.
type audited struct {
	call *call
	task wire.Audited
}

// overdue returns up to most of the calls that are due, those first that were not
// audited for longest. It reports whether others are due soon.
func (e *Executor) overdue(now time.Time, most int) (calls []audited, soon bool) {
	e.mu.Lock()
	doubted := e.doubted
	for c := range e.entered() {
		if c.sequence > 0 && !c.again {
			calls = append(calls, audited{c, wire.Audited{Try: c.try, Sequence: c.sequence, ID: c.message}})
		}
	}
	e.mu.Unlock()
	calls = slices.DeleteFunc(calls, func(a audited) bool {
		waits, _ := a.call.waits()
		due := waits && a.call.audited.due(a.call.begin, doubted, now)
		soon = soon || waits && !due && a.call.audited.absent()
		return !due
	})
	slices.SortFunc(calls, func(a, b audited) int { return a.call.lastAudit().Compare(b.call.lastAudit()) })
	if len(calls) > most {
		return calls[:most], soon || calls[most].call.lastAudit().Before(doubted)
	}
	return calls, soon
}

// lastAudit returns when the call was audited, or sent if it was not.
func (c *call) lastAudit() time.Time {
	if c.audited == nil {
		return c.begin
	}
	return c.audited.at
}

// waits reports whether the client has received no result of the call, and whether
// the call is canceled. It does not block while the call is being settled, which
// takes as long as a decoder.
func (c *call) waits() (waits, unwanted bool) {
	if !c.mu.TryLock() {
		return false, false
	}
	defer c.mu.Unlock()
	return !c.settled && !c.fetching, c.unwanted
}

// ask asks the servers what they have of calls.
func (e *Executor) ask(calls []audited) ([]wire.State, error) {
	audit := wire.Audit{Session: e.session}
	for _, a := range calls {
		audit.Tasks = append(audit.Tasks, a.task)
	}
	ctx, cancel := context.WithTimeout(e.ctx, stepTime)
	defer cancel()
	states, err := e.link.audit(ctx, &audit, e.client)
	if err == nil && len(states) != len(calls) {
		err = fmt.Errorf("cluster: the servers have answered an audit of %d tasks with %d states", len(calls), len(states))
	}
	return states, err
}

// found acts on what the servers have of calls, and reports whether some of them are
// to be audited soon again.
func (e *Executor) found(calls []audited, states []wire.State, now time.Time) (soon bool) {
	lost := 0
	for i, a := range calls {
		c := a.call
		waits, unwanted := c.waits()
		e.mu.Lock()
		same, missed := c.message == a.task.ID && !c.again, c.missed
		e.mu.Unlock()
		if !waits || !same { // it has settled, or was sent again, since the servers were asked
			continue
		}
		f := &finding{at: now, state: states[i], since: now}
		if c.audited != nil && c.audited.state == f.state {
			f.since = c.audited.since
		}
		c.audited = f
		switch v := judge(f.state, now.Sub(f.since), unwanted, missed); v {
		case wait:
			soon = soon || f.state == wire.Absent
		case renew:
			f.since = now
			select {
			case e.renew <- struct{}{}:
			default:
			}
		case resend, fail:
			lost++
			c.audited = &finding{at: now, state: wire.Queued, since: now}
			e.mu.Lock()
			c.again = true
			e.mu.Unlock()
			e.running.Go(func() { e.lost(c, v) })
		}
	}
	if lost > 0 {
		e.running.Go(func() { e.opts.Notice(fmt.Sprintf("the servers have lost %d tasks or their results", lost)) })
	}
	return soon
}

// lost sends a call again, or fails it, as the servers have neither its task nor a
// result. If it has an id, its result may be kept.
func (e *Executor) lost(c *call, v verdict) {
	defer func() {
		e.mu.Lock()
		c.again = false
		e.mu.Unlock()
	}()
	act := e.sendLost
	if v == fail {
		act = e.failLost
	}
	if c.id.Session == "" {
		e.seek(c, act)
	} else {
		act(c)
	}
}

// sendLost sends a call again, by a message that the servers do not take for the
// one that they have lost.
func (e *Executor) sendLost(c *call) {
	e.mu.Lock()
	c.missed++
	e.mu.Unlock()
	e.sendAgain(c)
}

// failLost settles a call of which no message will come.
func (e *Executor) failLost(c *call) {
	err := fmt.Errorf("%w %s: the servers have neither the task nor a result: it may have run, or be among the dead letters", ErrLost, c)
	if cause := context.Cause(c.batch.Context()); cause != nil {
		err = fmt.Errorf("%w; it was canceled: %w", err, cause)
	}
	e.settle(c, -1, concert.Encoded{}, err)
}
