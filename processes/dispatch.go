package processes

import (
	"context"
	"fmt"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

const (
	minCalls      = 2                // minimum number of calls in a worker with slots: the running call and the next one
	maxCalls      = 1024             // maximum number of calls in a worker
	targetWork    = time.Millisecond // total run time of the calls that a worker should have
	maxPipeBytes  = 1 << 20          // maximum size of the arguments in a worker without an arena
	maxArenaBytes = 16 << 20         // maximum size of the arguments in a worker with an arena
)

// dispatch sends calls to the worker until the worker is no longer active.
func (w *worker) dispatch() {
	b := &w.outgoing
	for len(b.buf) > 0 || w.pool.nextCalls(w, b) {
		err := w.send(b)
		if b.shares > 0 {
			w.pool.sentShared(b)
		}
		if err != nil {
			w.pipeClosed("calls")
			break
		}
		b.reset()
	}
	w.tasks.Close()
}

// nextCalls waits until there are calls for the worker, and adds them to b. It
// reports false if the worker gets no more calls.
//
// claimLocked releases the lock while it claims calls from a task, so several
// workers can claim at the same time. If the task is canceled during a claim,
// Withdraw sets the entry of the task in p.claims, and claimLocked drops the
// calls. After the claim, the calls are in w.frames, where Withdraw finds them.
func (p *Pool) nextCalls(w *worker, b *outgoing) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w.state == active {
		if m := p.opts.MaxTasks; m > 0 && w.total+w.count >= m {
			p.replaceLocked(w)
			break
		}
		capacity := w.capacityLocked()
		switch {
		case capacity <= 0 || len(b.buf) >= maxPipeBytes/4:
		case len(p.returned) > 0 && (!p.sentSuspect || p.returned[0].unbegun == 0 || p.queue.LenLocked() == 0):
			s := &p.returned[0]
			if ctx := s.batch.Context(); ctx.Err() != nil { // submitterDone will cancel such calls, but has not run yet
				p.dropFirstReturnedLocked(context.Cause(ctx))
				continue
			}
			if s.batch.UsesShared() && p.refuseReturnedLocked() {
				continue
			}
			n := min(capacity, s.len())
			p.sentSuspect = s.unbegun > 0 // if true, the pool sends calls of the queue before the next suspect
			p.addCallsLocked(w, b, callRange{batch: s.batch, from: s.from, to: s.from + n, deaths: s.deaths, unbegun: s.unbegun, died: s.died})
			if s.from += n; s.len() == 0 {
				p.unwatchLocked(s.submitter)
				p.removeFirstReturnedLocked()
			}
			continue
		case p.queue.LenLocked() > 0 && !p.preferIdleWorkerLocked(w):
			s := p.claimLocked(w, capacity)
			p.sentSuspect = false
			switch {
			case s.len() == 0:
			case s.batch.Parent().Err() != nil:
				p.dropLocked(s, context.Cause(s.batch.Parent()))
			case w.state == active && !w.trimming: // state and trimming may have changed during the claim
				p.addCallsLocked(w, b, s)
			default:
				p.returnCallsLocked(s)
			}
			continue
		case p.unsettled > 1 && w.hasIdleThreadLocked() && p.stealLocked(w): // if there is only one call, stealing it gains nothing
			continue
		case len(w.unshare) > 0:
			w.addUnsharesLocked(b)
		}
		if len(b.buf) > 0 {
			return true // send the calls of b before waiting for more calls
		}
		if w.state != active {
			break
		}
		w.asleep = true
		p.mu.Unlock()
		<-w.dispatchWake
		p.mu.Lock()
		w.asleep = false
	}
	return len(b.buf) > 0
}

// capacityLocked returns the number of calls that the pool should send to
// the worker now.
//
// A worker may have more calls than it runs, because the pool can take back
// calls that have not begun; see the invariant at begunLocked. From a worker
// with slots, the pool takes calls back at once, so such a worker always has
// a second call. Other workers may answer a TakeBack late. So they have only
// one call for each thread, unless their calls are quick. Each frame needs a
// slot of the journal, which limits the number of frames.
func (w *worker) capacityLocked() int {
	if w.state != active || w.trimming || w.suspended || w.bytes >= w.maxArgumentBytes() && !w.hasIdleThreadLocked() {
		return 0
	}
	want := minCalls // for each thread
	if !w.usesSlots {
		want = 1
	}
	if w.runTime > 0 {
		want = max(want, int(min(maxCalls, targetWork/w.runTime)))
	}
	capacity := want*w.pool.opts.Threads - w.count
	if w.takeBacksSent-w.takeBacksAnswered >= maxTakeBacks {
		return 0 // the worker has not answered the TakeBacks, so its process may be stopped
	}
	if w.hasIdleThreadLocked() {
		capacity = max(capacity, 1) // for the idle thread, even if the other threads have enough calls
	}
	if w.showsBegunLocked() || w.usesGate {
		capacity = min(capacity, shm.Slots-1-len(w.frames.list))
	}
	if m := w.pool.opts.MaxTasks; m > 0 {
		capacity = min(capacity, m-w.total-w.count)
	}
	if !w.hasIdleThreadLocked() && capacity < want/4 {
		return 0 // the worker has enough calls; sending many calls together costs less
	}
	return min(want, capacity)
}

// hasIdleThreadLocked reports whether a thread of the worker is idle. The calls
// of a frame run on one thread.
func (w *worker) hasIdleThreadLocked() bool { return len(w.frames.list) < w.pool.opts.Threads }

// maxArgumentBytes returns the maximum size of all arguments in the worker,
// in bytes.
func (w *worker) maxArgumentBytes() int {
	if w.arena != nil {
		return maxArenaBytes
	}
	return maxPipeBytes
}

// claimLocked claims calls from the first task of the queue. capacity is the
// maximum number of calls. It releases mu while it calls Claim.
func (p *Pool) claimLocked(w *worker, capacity int) callRange {
	t := p.queue.NextLocked()
	if t == nil {
		return callRange{} // all queued tasks were canceled
	}
	p.claims[t] = false
	size := max(shm.MaxInline, w.maxArgumentBytes()-w.bytes)
	p.mu.Unlock()
	batch, again := t.Claim(capacity, size)
	p.mu.Lock()
	withdrawn := p.claims[t]
	delete(p.claims, t)
	var s callRange
	if batch != nil && !withdrawn {
		s = callRange{batch: batch, to: len(batch.Args)}
		p.unsettled += s.len()
	}
	if again {
		if p.closed != nil {
			err := p.closed
			p.mu.Unlock()
			t.Fail(err)
			p.mu.Lock()
		} else {
			p.queue.AgainLocked(t) // the task is a Map that has more calls
		}
	}
	s = p.refuseFunctionLocked(w, p.refuseLargeLocked(s))
	if s.len() > 0 && s.batch.Relayed && p.opts.Check != nil {
		p.checkArgumentLocked(t, s)
		s = callRange{}
	}
	if s.len() > 0 && s.batch.UsesShared() {
		s = p.refuseSharedLocked(s)
	}
	p.checkEndLocked()
	return s
}

// refuseLargeLocked settles the last call of a range if its argument is too
// large, and returns the other calls. The arguments of the other calls are not
// too large, because a claim ends with the first large argument. It releases mu
// while it calls Settle.
func (p *Pool) refuseLargeLocked(s callRange) callRange {
	if s.len() == 0 {
		return s
	}
	last := s.to - 1
	size := len(s.batch.Args[last].Bytes)
	if size <= frame.MaxPayload {
		return s
	}
	err := fmt.Errorf("%w: the argument of %s has %d bytes, more than %d", ErrTooLarge, s.batch.Name, size, frame.MaxPayload)
	p.mu.Unlock()
	s.batch.Settle(last, -1, executor.Encoded{}, err)
	p.mu.Lock()
	p.unsettled--
	s.to = last
	return s
}

// refuseFunctionLocked settles the calls of a range if the worker cannot call
// their function, and otherwise returns them. It releases mu while it calls
// Settle.
func (p *Pool) refuseFunctionLocked(w *worker, s callRange) callRange {
	if s.len() == 0 || s.batch.Name == w.callable {
		return s
	}
	err := p.checkFunction(s.batch.Name)
	if err == nil {
		w.callable = s.batch.Name
		return s
	}
	p.mu.Unlock()
	for i := s.from; i < s.to; i++ {
		s.batch.Settle(i, -1, executor.Encoded{}, err)
	}
	p.mu.Lock()
	p.unsettled -= s.len()
	return callRange{}
}

// preferIdleWorkerLocked wakes another worker that has fewer calls and an
// idle thread. It reports whether there is such a worker. If there is one,
// the caller must leave the first task of the queue to it. That worker later
// wakes other workers.
func (p *Pool) preferIdleWorkerLocked(w *worker) bool {
	for _, other := range p.active {
		if other != nil && other.hasIdleThreadLocked() && other.capacityLocked() > 0 && len(other.frames.list) < len(w.frames.list) {
			if other.asleep {
				other.wakeLocked()
			}
			return true
		}
	}
	return false
}
