package processes

import (
	"context"
	"fmt"
	"slices"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/shm"
)

// dispatch sends calls to the worker until the worker leaves or dies.
func (w *worker) dispatch() {
	b := &w.bundle
	for len(b.buf) > 0 || w.pool.nextCalls(w, b) {
		if w.send(b) != nil {
			w.pipeClosed("calls")
			break
		}
		b.reset()
	}
	w.tasks.Close()
}

// nextCalls waits for calls for the worker, and adds them to b. It reports
// false if there will be none.
//
// Several workers may claim calls from tasks at the same time, without the
// lock. If a task is canceled in this time, that is marked in p.claims.
// Afterwards its call is in the table of a worker, where Withdraw finds it.
func (p *Pool) nextCalls(w *worker, b *bundle) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w.state == active {
		if m := p.opts.MaxTasks; m > 0 && w.total+w.count >= m {
			p.replaceLocked(w)
			break
		}
		room := w.roomLocked()
		switch {
		case room <= 0 || len(b.buf) >= maxPipeBytes/4:
		case len(p.returned) > 0 && (!p.suspectGiven || p.returned[0].unbegun == 0 || len(p.queue) == 0):
			s := &p.returned[0]
			if ctx := s.batch.Context(); ctx.Err() != nil { // submitterDone has not run yet
				p.dropFirstReturnedLocked(context.Cause(ctx))
				continue
			}
			n := min(room, s.len())
			p.suspectGiven = s.unbegun > 0 // other tasks run before the next suspect
			p.addCallsLocked(w, b, span{batch: s.batch, from: s.from, to: s.from + n, deaths: s.deaths, unbegun: s.unbegun})
			if s.from += n; s.len() == 0 {
				p.unwatchLocked(s.submitter)
				p.returned = slices.Delete(p.returned, 0, 1)
			}
			continue
		case len(p.queue) > 0 && !p.idleElsewhereLocked(w):
			s := p.claimLocked(w, room)
			p.suspectGiven = false
			switch {
			case s.len() == 0:
			case w.state == active && !w.trimming: // both may have changed during the claim
				p.addCallsLocked(w, b, s)
			default:
				p.returnCallsLocked(s)
			}
			continue
		case w.hasIdleThreadLocked() && p.stealLocked(w):
			continue
		}
		if len(b.buf) > 0 {
			return true // send these before waiting
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

// claimLocked claims calls from the first task of the queue. It releases mu in
// the meantime.
func (p *Pool) claimLocked(w *worker, room int) span {
	t := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.admitLocked()
	p.claims[t] = false
	size := max(shm.MaxInline, w.maxArgumentBytes()-w.bytes)
	p.mu.Unlock()
	batch, again := t.Claim(room, size)
	p.mu.Lock()
	withdrawn := p.claims[t]
	delete(p.claims, t)
	var s span
	if batch != nil && !withdrawn {
		s = span{batch: batch, to: len(batch.Args)}
		p.unsettled += s.len()
	}
	if again {
		if p.closed != nil {
			err := p.closed
			p.mu.Unlock()
			t.Fail(err)
			p.mu.Lock()
		} else {
			// The task was accepted, so it gets room in any case. The first
			// waiter is admitted before it. Otherwise a few Maps could keep the
			// queue full permanently.
			p.admitFirstLocked()
			p.queue = append(p.queue, t)
			p.wakeWorkerLocked()
		}
	}
	s = p.refuseFunctionLocked(w, p.refuseLargeLocked(s))
	if s.len() > 0 && s.batch.Relayed && p.opts.Check != nil {
		p.checkArgumentLocked(t, s)
		s = span{}
	}
	p.checkEndLocked()
	return s
}

// refuseLargeLocked settles the last call of a span if its argument is too
// large. Only the last one can be: a claim ends with a large argument. It
// releases mu in the meantime.
func (p *Pool) refuseLargeLocked(s span) span {
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

// refuseFunctionLocked settles the calls of a span if their function cannot be
// called in the worker. It releases mu in the meantime.
func (p *Pool) refuseFunctionLocked(w *worker, s span) span {
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
	return span{}
}

// checkFunction returns why workers cannot call the function of a name, as far
// as the pool knows.
func (p *Pool) checkFunction(name string) error {
	if len(name) > frame.MaxName {
		return fmt.Errorf("%w: the name of the function, %.40q..., has %d bytes, more than %d: register it under a shorter one", ErrTooLarge, name, len(name), frame.MaxName)
	}
	if p.opts.Command != nil {
		return nil // the pool does not know the functions of another program
	}
	return isLate(name)
}

// addCallsLocked adds calls to the table of the worker, and encodes them into
// b.
func (p *Pool) addCallsLocked(w *worker, b *bundle, s span) {
	now := time.Now()
	args := s.batch.Args[s.from:s.to]
	f := w.flights.add(flight{batch: s.batch, submitter: p.watchLocked(s.batch.Parent()), from: s.from, n: s.len(), begun: -1, canceledEarly: -1, deaths: s.deaths, unbegun: s.unbegun})
	f.submitter.flights++
	for _, arg := range args {
		f.bytes += len(arg.Bytes)
	}
	w.count += s.len()
	w.bytes += f.bytes
	before := w.arguments.Len()
	h := frame.CallHead{Seq: f.seq, Name: s.batch.Name}
	if d, ok := s.batch.Context().Deadline(); ok {
		if h.Left = d.Sub(now); h.Left == 0 {
			h.Left = -1
		}
	}
	b.add(h, args, w.placeLocked)
	f.spans = w.arguments.Len() - before
	if w.showsBegunLocked() || w.usesGate {
		w.journal.Offer(f.seq, f.n)
	}
	if w.count > s.len() {
		w.checkAtLocked(now.Add(longCall)) // these calls may wait for a slow one
	} else {
		w.checkAtLocked(now.Add(w.untilCheckLocked()))
	}
	if len(p.queue)+len(p.returned) > 0 {
		p.wakeWorkerLocked()
	}
}

// idleElsewhereLocked reports whether another worker with fewer calls has an
// idle thread, and wakes it. The first task of the queue is for that worker,
// which then wakes others.
func (p *Pool) idleElsewhereLocked(w *worker) bool {
	for _, other := range p.active {
		if other != nil && other.hasIdleThreadLocked() && other.roomLocked() > 0 && len(other.flights.list) < len(w.flights.list) {
			if other.asleep {
				other.wakeLocked()
			}
			return true
		}
	}
	return false
}

// stealLocked takes calls that have not begun from the worker that has most
// work, for a worker with an idle thread.
func (p *Pool) stealLocked(w *worker) bool {
	var victim *worker
	load := targetWork / 4 // below this, stealing costs more than it saves
	now := time.Now()
	for other := range p.all { // leaving workers too
		threads := p.opts.Threads
		if other.count <= min(threads, len(other.flights.list)) {
			continue // no call waits for another one
		}
		ahead := time.Duration(other.count) * other.runTime / time.Duration(threads)
		long := 0
		for f, call := range other.runningLocked {
			if f.begun == call && (other.usesSlots || f.isLongLocked(now)) {
				if long++; long == threads || f.n > call+1 {
					ahead = max(ahead, time.Second) // the call that runs may take long
				}
			}
		}
		if ahead > load {
			victim, load = other, ahead
		}
	}
	if victim == nil {
		return false
	}
	var spans []span
	want := victim.count / 2
	for i := len(victim.flights.list) - 1; want > 0 && i >= 0; i-- {
		f := victim.flights.list[i]
		if !victim.canTakeBackLocked() {
			if keep := max(0, f.n-want); !f.asked {
				victim.takeBackLocked(f, keep)
				want -= f.n - keep
			}
			continue
		}
		back := victim.takeBackLocked(f, max(0, f.n-want))
		if back.len() == 0 {
			break // all earlier calls have begun as well
		}
		spans = append(spans, back)
		want -= back.len()
	}
	slices.Reverse(spans)
	p.returnCallsLocked(spans...)
	return len(spans) > 0
}
