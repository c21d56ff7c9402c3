package client

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concert/cluster/internal/jet"
	"concert/cluster/internal/wire"
	"concert/executor"
	"concert/internal/lazy"
)

// A call settles when a message with its result arrives, but messages can be
// lost. A result can expire before its client takes it, for example while
// the client has no connection, or when the clock of the servers jumps
// forward. A server can lose its disk. An administrator can purge a stream.
// So the client audits each call that has been outstanding for long: it asks
// the servers whether they have the task or a result.
//
// The table lists the states of a call: the state of the call in its client,
// whether the queue has its task, whether a worker runs the task, and whether
// the results contain its result. In each state except the last two, the last
// column says what will move the call to the next state:
//
//	client     queue    worker    results
//	added      -        -         -          the client uploads the argument, or reads a kept result
//	published  ?        -         -          the client publishes until the queue acknowledges
//	sent       task     -         -          the task waits for a worker
//	sent       task     runs      -          if the worker is lost, its lease ends: redelivery
//	sent       task     done      result     each worker that receives the task acknowledges it
//	sent       -        -         result     redelivered until the client acknowledges it
//	ended      ?        ?         ?          the client acknowledges late results
//	sent       -        runs      -          the task is lost; a result still settles the call
//	sent       -        -         -          all was lost: no message will arrive
//
// A canceled call has the same states. It also ends if a Submit with the same
// id replaces it, see subscriber.go. If a subscriber joins a call, or one of
// several subscribers is canceled, the state of the call does not change.
//
// A worker stores its result before it acknowledges the task, and a client ends
// a call before it acknowledges the result. Suppose that a call was sent and
// has not ended, and that the servers have neither its task nor a result. Then
// the call is in one of the last two states, and the client sends it again.
// Then the task may run twice, as after the loss of a worker, and one result
// counts. If the call is lost again after maxResends resends, it settles with
// ErrLost.
//
// A call is audited AuditAge after it was sent, and then every AuditAge. All
// calls are due for an audit when the client has reconnected, and when the
// servers have deleted the session. A request audits up to wire.MaxAudited
// calls. The client sends one request every auditPeriod, so it audits each of n
// calls every n/50 s, or every AuditAge if that is longer. After a
// reconnection, and to confirm that a call is absent, the client sends one
// request every auditPause.
const (
	AuditAge    = 30 * time.Second
	auditPeriod = 5 * time.Second
	auditPause  = time.Second
)

// finding is the outcome of an audit of a call.
type finding struct {
	at    time.Time // when the call was audited
	state wire.State
	since time.Time // when an audit first found this state
}

// verdict is what the client does about a call.
type verdict int

const (
	wait   verdict = iota
	renew          // create the consumer of results again, because it does not deliver a stored result
	resend         // send the call again
	fail           // settle the call with ErrLost
)

// judge returns what the client does about a call. The parameter since is
// the time for which audits have found this state. The parameter missed is
// the number of times that the call was sent again.
//
// A server that has just become the leader may lack messages that its
// predecessor had. So wire.Absent counts only if two audits find it.
func judge(state wire.State, since time.Duration, canceled bool, missed int) verdict {
	switch {
	case state == wire.Answered && since >= AuditAge:
		return renew
	case state != wire.Absent || since < auditPause:
		return wait
	case canceled || missed >= maxResends:
		return fail
	default:
		return resend
	}
}

// due reports whether a call must be audited now. The receiver is the
// finding of the last audit of the call, and nil before the first audit. The
// parameter sent is the time when the call was sent. A call must be audited
// if it was sent or audited before auditBefore.
func (f *finding) due(sent, auditBefore, now time.Time) bool {
	if f == nil {
		return now.Sub(sent) >= AuditAge || sent.Before(auditBefore)
	}
	return now.Sub(f.at) >= AuditAge || f.at.Before(auditBefore) || f.absent() && now.Sub(f.at) >= auditPause
}

// absent reports whether the last audit has found that the servers have neither
// the task nor a result. Another audit must confirm this finding.
func (f *finding) absent() bool { return f != nil && f.state == wire.Absent }

// auditAll makes all sent calls due for an audit, and wakes the goroutine that
// audits calls. It returns the number of these calls.
func (e *Executor) auditAll() (calls int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.auditBefore = time.Now()
	for _, c := range e.calls {
		if c.published && !c.canceled {
			calls++
		}
	}
	select {
	case e.auditNow <- struct{}{}:
	default:
	}
	return calls
}

// audit audits calls until the executor ends.
func (e *Executor) audit() {
	limit, pause := wire.MaxAudited, auditPeriod
	reconnected := e.conn.Reconnected.Wait()
	for {
		select {
		case <-time.After(pause):
		case <-e.auditNow:
		case <-reconnected:
			reconnected = e.conn.Reconnected.Wait()
			e.auditAll()
		case <-e.ctx.Done():
			return
		}
		soon, err := e.auditDue(time.Now(), limit)
		pause = auditPeriod
		if soon || err != nil {
			pause = auditPause
		}
		if err != nil { // ask for fewer calls, because the servers may be too busy
			limit = max(1, limit/2)
		} else {
			limit = min(2*limit, wire.MaxAudited)
		}
	}
}

// auditDue audits at most limit calls that are due now. It reports whether
// other calls are due soon.
func (e *Executor) auditDue(now time.Time, limit int) (soon bool, err error) {
	e.auditMu.Lock()
	defer e.auditMu.Unlock()
	calls, soon := e.dueCalls(now, limit)
	if len(calls) == 0 {
		return soon, nil
	}
	if !e.conn.NC.IsConnected() { // requests would wait for the connection
		return true, nil
	}
	states, err := e.ask(calls)
	if err != nil {
		return true, err
	}
	return e.applyStates(calls, states, now) || soon, nil
}

// audited is a call, and the part about it in the request of an audit.
type audited struct {
	call *call
	task wire.Audited
}

// dueCalls returns at most limit calls that are due. Calls whose last audit
// is oldest come first. It reports whether other calls are due soon.
func (e *Executor) dueCalls(now time.Time, limit int) (calls []audited, soon bool) {
	e.mu.Lock()
	auditBefore := e.auditBefore
	for _, c := range e.calls {
		if c.sequence > 0 && !c.resending && !c.downloading {
			calls = append(calls, audited{c, wire.Audited{Try: c.try, Sequence: c.sequence, ID: c.message}})
		}
	}
	e.mu.Unlock()
	calls = slices.DeleteFunc(calls, func(a audited) bool {
		due := a.call.finding.due(a.call.sentAt, auditBefore, now)
		soon = soon || !due && a.call.finding.absent()
		return !due
	})
	slices.SortFunc(calls, func(a, b audited) int { return a.call.lastAudit().Compare(b.call.lastAudit()) })
	if len(calls) > limit {
		return calls[:limit], soon || calls[limit].call.lastAudit().Before(auditBefore)
	}
	return calls, soon
}

// lastAudit returns the time of the last audit of the call. If the call was
// never audited, lastAudit returns the time when the call was sent.
func (c *call) lastAudit() time.Time {
	if c.finding == nil {
		return c.sentAt
	}
	return c.finding.at
}

// ask asks the servers for the states of calls.
func (e *Executor) ask(calls []audited) ([]wire.State, error) {
	audit := wire.Audit{Session: e.session}
	for _, a := range calls {
		audit.Tasks = append(audit.Tasks, a.task)
	}
	ctx, cancel := context.WithTimeout(e.ctx, jet.RequestTimeout)
	defer cancel()
	states, err := e.conn.Audit(ctx, &audit, e.client)
	if err == nil && len(states) != len(calls) {
		err = fmt.Errorf("cluster: the answer to an audit of %d tasks has %d states", len(calls), len(states))
	}
	return states, err
}

// applyStates handles the states of calls that an audit has found. It reports
// whether some of the calls must be audited again soon.
func (e *Executor) applyStates(calls []audited, states []wire.State, now time.Time) (soon bool) {
	lost := 0
	for i, a := range calls {
		c := a.call
		e.mu.Lock()
		waits := !c.ended && !c.downloading && !c.resending && c.message == a.task.ID
		canceled, missed := c.canceled, c.resends
		e.mu.Unlock()
		if !waits { // the call has ended, or was sent again, after the request
			continue
		}
		f := &finding{at: now, state: states[i], since: now}
		if c.finding != nil && c.finding.state == f.state {
			f.since = c.finding.since
		}
		c.finding = f
		switch v := judge(f.state, now.Sub(f.since), canceled, missed); v {
		case wait:
			soon = soon || f.state == wire.Absent
		case renew:
			f.since = now
			select {
			case e.recreate <- struct{}{}:
			default:
			}
		case resend, fail:
			lost++
			c.finding = &finding{at: now, state: wire.Queued, since: now}
			e.mu.Lock()
			c.resending = true
			e.mu.Unlock()
			e.background.Go(func() { e.onLost(c, v) })
		}
	}
	if lost > 0 {
		e.background.Go(func() { e.opts.Notice(fmt.Sprintf("the servers have lost %d tasks or their results", lost)) })
	}
	return soon
}

// onLost sends a call again, or fails it, because the servers have neither its
// task nor a result. If the call has an id, onLost looks for a kept result
// first.
func (e *Executor) onLost(c *call, v verdict) {
	defer func() {
		e.mu.Lock()
		c.resending = false
		e.mu.Unlock()
	}()
	act := e.resendLost
	if v == fail {
		act = e.failLost
	}
	if c.id.Session == "" {
		e.findKept(c, act)
	} else {
		act(c)
	}
}

// resendLost sends a call again. The message has a new id, so the servers do
// not drop it as a duplicate of the lost one.
func (e *Executor) resendLost(c *call) {
	e.mu.Lock()
	c.resends++
	e.mu.Unlock()
	e.resend(c)
}

// failLost settles a call with ErrLost.
func (e *Executor) failLost(c *call) {
	lost := fmt.Errorf("%w %s: the servers have neither the task nor its result; the task may have run, or may be among the dead letters", ErrLost, e.describe(c))
	e.settleEach(c, func(s *subscriber) {
		err := lost
		if cause := context.Cause(s.batch.Context()); cause != nil {
			err = lazy.Errorf("%w; the task was canceled: %w", err, cause)
		}
		s.settle(-1, executor.Encoded{}, err)
	})
}
