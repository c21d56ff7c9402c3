package loop

import (
	"math/rand/v2"
	"runtime/pprof"

	"concert"
	"concert/executor"
)

// This file decides which coroutine runs.
//
// A coroutine runs while it holds the scheduler lock. At most one coroutine
// holds this lock. Loop.mu is another lock, a plain mutex: it protects the
// state of the scheduler (lockHeld, ready, the state of each Task), and is held
// only for short operations that call no code of the program.
//
//	         grant                    park: wait for an event
//	ready ------------> running --------------------------------> parked
//	  ^                  |   |                                      |
//	  |   yield          |   | leaveLoop: make a blocking call      | wake
//	  +------------------+   +-----------> outside                  |
//	  |                                      | reenterLoop          |
//	  +--------------------------------------+----------------------+
//
// 1. The holder of the scheduler lock hands it over under mu: handOverLocked
//    grants it to the first ready coroutine, and unlock releases mu and resumes
//    the goroutine of that coroutine. While a coroutine is ready, the scheduler
//    lock is never free. So a coroutine that becomes ready later cannot
//    overtake the coroutines in the run queue.
// 2. If no coroutine is ready, handOverLocked frees the scheduler lock
//    (lockHeld is false). If a goroutine makes a coroutine ready after that,
//    it calls unlock. While unlock still holds mu, it grants the scheduler
//    lock to this coroutine. So whenever lockHeld is false and mu is not
//    held, the run queue is empty.
// 3. A wait ends only once: wakeLocked changes the state from parked to ready
//    under mu, and returns false if the coroutine is not parked. So if a
//    coroutine receives an item and is canceled at the same time, the first of
//    the two events decides the result of the wait, and no item is lost.
// 4. A blocking call is interrupted after mu was released (unlockMu), because
//    the interrupt is code of the program. The coroutine does not continue
//    before the interrupt has returned. Otherwise the interrupt could act on
//    the next call of the coroutine.

// state is what a coroutine does. The drawing above shows the changes
// between the first four states. A running coroutine changes to ended when
// its function returns, and stays there.
//
// Guarded by Loop.mu.
type state uint8

const (
	ready   state = iota // the coroutine is in the run queue
	running              // the coroutine holds the scheduler lock
	parked               // the coroutine waits for wakeLocked; a coroutine of Group.After is parked until its start
	outside              // the coroutine is in a blocking call; then it calls reenterLoop
	ended                // the function of the coroutine has returned
)

// grantLocked grants the scheduler lock to t, and returns t.
func (l *Loop) grantLocked(t *Task) *Task {
	t.state, t.started = running, true
	l.lockHeld = true
	l.steps++
	l.current.Store(t)
	return t
}

// handOverLocked releases the scheduler lock, which the caller holds. It
// returns the coroutine that holds the lock next, or nil. The caller must pass
// the result to l.unlock, which resumes the coroutine.
func (l *Loop) handOverLocked() *Task { return l.handOverPolledLocked(false) }

// handOverPolledLocked does the same as handOverLocked. The parameter polled
// is true if the caller has just polled the foreign contexts.
func (l *Loop) handOverPolledLocked(polled bool) *Task {
	for ; ; polled = false {
		if l.ready.n > 0 {
			return l.grantLocked(l.ready.pop())
		}
		jump, stuck := l.canJumpLocked(), l.isStuckLocked()
		if !jump && !stuck || l.poll != pollIdle {
			break
		}
		if !polled && l.needPollLocked() {
			l.poll = pollWanted
			break
		}
		if jump {
			l.jumpLocked()
		} else if !l.breakDeadlockLocked() {
			break
		}
	}
	l.lockHeld = false
	l.current.Store(nil)
	return nil
}

// unlock releases mu, and resumes a coroutine that handOverLocked has returned
// (next), unless it is nil.
//
// If the scheduler lock is free, the caller may have made coroutines ready.
// Or it may have removed the last event that could make a coroutine ready.
// In these cases, unlock grants the lock, advances virtual time, or reports
// a deadlock.
func (l *Loop) unlock(next *Task) {
	for polled := false; ; {
		if next == nil && !l.lockHeld {
			if next = l.handOverPolledLocked(polled); next != nil {
				l.watchLocked()
			}
		}
		mine := l.poll == pollWanted
		if mine {
			l.poll = pollRunning
		}
		listeners := l.unlockMu()
		if next != nil {
			next.resume()
			next = nil
		}
		for _, cl := range listeners {
			cl.stop()
		}
		if !mine {
			return
		}
		polled = l.pollContexts()
		l.poll = pollIdle
	}
}

// unlockMu releases mu and starts the interrupts that were requested under
// it. It returns listeners, which the caller must stop.
func (l *Loop) unlockMu() []*contextListener {
	interrupts, listeners := l.interrupts, l.stoppedListeners
	l.interrupts, l.stoppedListeners = nil, nil
	l.mu.Unlock()
	for _, pi := range interrupts {
		go l.runInterrupt(pi) // on another goroutine, because an interrupt may take long
	}
	return listeners
}

// resume continues the goroutine of a coroutine to which the scheduler lock was
// granted. If the coroutine has not started, resume starts a goroutine for it.
func (t *Task) resume() {
	if t.grant != nil {
		t.grant <- struct{}{}
		return
	}
	t.grant = t.loop.takeGrantChan()
	go runCoroutines(t)
}

// wakeLocked makes a parked coroutine ready. The wait of the coroutine returns
// err. wakeLocked returns false if the coroutine is not parked, because another
// event has already woken it.
func (l *Loop) wakeLocked(t *Task, err error) bool {
	if t.state != parked {
		return false
	}
	t.state = ready
	t.err = err
	t.waitCtx = nil
	if t.timer.set() {
		l.timers.remove(&t.timer)
	}
	if t.awaitsForeign {
		t.awaitsForeign = false
		l.listeners.remove(t)
	}
	l.ready.push(t)
	return true
}

// wake does the same as wakeLocked for a caller that holds the scheduler lock
// but not mu.
func (l *Loop) wake(t *Task, err error) bool {
	l.mu.Lock()
	ok := l.wakeLocked(t, err)
	l.unlock(nil)
	return ok
}

// parkLocked releases the scheduler lock and mu, and waits until the
// coroutine is woken. It returns the error that was given to wakeLocked. If
// the context of the wait has ended, it returns the cause at once. The
// parameter on is what the coroutine waits for. It is stored in
// Task.waitTarget.
//
// If c has a foreign context, the caller must have called c.listen before it
// locked mu, and must pass the listener.
func (c caller) parkLocked(op op, on any, listener *contextListener) error {
	t := c.task()
	l := t.loop
	err := c.endedLocked()
	if listener != nil && listener.ended {
		err = listener.cause
	}
	if err != nil {
		if t.timer.set() {
			l.timers.remove(&t.timer)
		}
		l.unlock(nil)
		if listener != nil {
			listener.stop()
		}
		return err
	}
	t.state = parked
	t.waitCtx = c.waitContext()
	if listener != nil {
		t.awaitsForeign = true
		l.listeners.add(listener)
	}
	t.op, t.waitTarget, t.since = op, on, l.coarseNowLocked()
	next := l.handOverLocked()
	if next == t { // no other coroutine ran before this coroutine was woken
		next = nil
		l.unlock(nil)
	} else {
		l.unlock(next)
		<-t.grant
	}
	if listener != nil {
		listener.stop()
	}
	if dl, ok := t.err.(*DeadlockError); ok {
		dl.recordSite(t)
	}
	return t.err
}

// yield lets each ready coroutine run once.
func (t *Task) yield() {
	l := t.loop
	l.mu.Lock()
	if l.ready.n == 0 {
		l.steps++
		l.mu.Unlock()
		return
	}
	t.state = ready
	l.ready.push(t)
	next := l.handOverLocked()
	if next == t {
		l.unlock(nil)
		return
	}
	l.unlock(next)
	<-t.grant
}

// leaveLoop releases the scheduler lock for a blocking call, until reenterLoop.
// If ctx, the context of the coroutine, ends before reenterLoop is called,
// stop.interrupt is called once, on another goroutine. reenterLoop does not
// return before interrupt has returned.
func (t *Task) leaveLoop(op op, ctx *taskContext, stop interrupter) {
	l := t.loop
	l.mu.Lock()
	t.state = outside
	l.outside++
	if ctx != nil && ctx.ended.Load() { // the context has ended after the caller has checked it
		l.interruptLocked(t, stop)
	} else {
		t.waitCtx, t.waitTarget = ctx, stop
	}
	t.op, t.since = op, l.coarseNowLocked()
	l.unlock(l.handOverLocked())
}

// reenterLoop acquires the scheduler lock again after leaveLoop. It blocks
// until the coroutine gets the lock.
func (t *Task) reenterLoop() {
	l := t.loop
	l.mu.Lock()
	t.waitCtx, t.waitTarget = nil, nil
	if t.interrupting {
		t.state = parked // runInterrupt wakes it
		l.mu.Unlock()
		<-t.grant
		return
	}
	l.outside--
	l.acquireLocked(t)
}

// acquireLocked acquires the scheduler lock for a coroutine whose goroutine was
// outside of the loop. It releases mu.
func (l *Loop) acquireLocked(t *Task) {
	if !l.lockHeld {
		l.grantLocked(t)
		l.watchLocked()
		l.unlock(nil)
		return
	}
	t.state = ready
	l.ready.push(t)
	l.unlock(nil)
	<-t.grant
}

// An interrupter ends the blocking call of a coroutine.
type interrupter interface{ interrupt() }

// pendingInterrupt is an interrupt that unlockMu starts when it has released
// mu.
type pendingInterrupt struct {
	task   *Task
	target interrupter
}

// interruptLocked requests a call of stop.interrupt for the coroutine t,
// which is in a blocking call.
func (l *Loop) interruptLocked(t *Task, stop interrupter) {
	t.interrupting = true
	t.waitCtx, t.waitTarget = nil, nil
	l.interrupts = append(l.interrupts, pendingInterrupt{t, stop})
}

// runInterrupt calls the interrupt, and then lets the coroutine continue.
func (l *Loop) runInterrupt(pi pendingInterrupt) {
	pi.target.interrupt()
	l.mu.Lock()
	pi.task.interrupting = false
	if l.wakeLocked(pi.task, nil) { // the coroutine waits in reenterLoop
		l.outside--
	}
	l.unlock(nil)
}

// grantChan is the channel on which the goroutine of a coroutine waits for the
// scheduler lock. It has a buffer for one token. A token means that the
// coroutine holds the lock.
//
// If a coroutine ends, and the next coroutine has not started yet, the next
// coroutine runs on the same goroutine, with the same channel. So a thousand
// short coroutines need one goroutine, and no switch between goroutines.
type grantChan chan struct{}

func newGrantChan() grantChan { return make(grantChan, 1) }

// takeGrantChan returns a channel for a coroutine whose goroutine is about to
// start. The caller holds the scheduler lock.
func (l *Loop) takeGrantChan() grantChan {
	if n := len(l.spareGrantChans); n > 0 {
		ch := l.spareGrantChans[n-1]
		l.spareGrantChans = l.spareGrantChans[:n-1]
		return ch
	}
	return newGrantChan()
}

// maxSpareGrantChans is the maximum number of channels of ended goroutines
// that are kept.
const maxSpareGrantChans = 64

// putGrantChan keeps the channel of a goroutine that ends, for a later
// goroutine. The caller holds the scheduler lock.
func (l *Loop) putGrantChan(ch grantChan) {
	if len(l.spareGrantChans) < maxSpareGrantChans {
		l.spareGrantChans = append(l.spareGrantChans, ch)
	}
}

// runCoroutines is the function of a goroutine that runs coroutines, t first.
func runCoroutines(t *Task) {
	pprof.SetGoroutineLabels(t.loop.labels)
	for t != nil {
		t = t.run(true)
	}
}

// run runs the coroutine until its function has returned. If the next
// coroutine can run on this goroutine, run returns it. Otherwise run hands
// over the scheduler lock and returns nil. The parameter reuse says whether
// this goroutine can run another coroutine.
func (t *Task) run(reuse bool) (next *Task) {
	returned := false
	var err error
	b := t.body
	t.body = nil
	defer func() {
		if !returned {
			err = concert.ErrGoexit
			if v := recover(); v != nil {
				p := executor.NewPanicError(v)
				p.Task = t.String()
				err = p
			} else {
				reuse = false // runtime.Goexit ends this goroutine
			}
		}
		if f, ok := b.(finisher); ok {
			f.finish(t, err)
		}
		next = t.finish(err, reuse)
	}()
	if t.ctx.ended.Load() {
		err = t.ctx.cause // the coroutine was canceled before it started
	} else {
		err = b.call(&t.ctx)
	}
	returned = true
	return nil
}

// finish ends the coroutine and releases the scheduler lock. If the next
// coroutine has not started, and can run on this goroutine, finish returns it.
func (t *Task) finish(err error, reuse bool) (next *Task) {
	l := t.loop
	t.err = err
	t.done.Store(true)
	t.joiners.wakeAll()
	if t.group != nil {
		t.group.childEnded(t)
	}
	ch := t.grant
	l.mu.Lock()
	t.state = ended
	t.grant = nil
	t.ctx.detachTreeLocked()
	l.live--
	next = l.handOverLocked()
	if next != nil && next.grant == nil && reuse {
		next.grant = ch
		for _, cl := range l.unlockMu() {
			cl.stop()
		}
		return next
	}
	if reuse {
		l.putGrantChan(ch)
	}
	l.unlock(next)
	return nil
}

// runQueue is the queue of the ready coroutines, linked by Task.nextReady. If
// the order is random, the coroutines are in runQueue.tasks instead.
type runQueue struct {
	first, last *Task
	n           int

	random *rand.Rand // nil for first in, first out
	tasks  []*Task    // used if random is set
}

func (q *runQueue) push(t *Task) {
	if q.random != nil {
		q.tasks = append(q.tasks, t)
		q.n++
		return
	}
	t.nextReady = nil
	if q.last == nil {
		q.first = t
	} else {
		q.last.nextReady = t
	}
	q.last = t
	q.n++
}

func (q *runQueue) pop() *Task {
	if q.random != nil {
		i := q.random.IntN(q.n)
		q.n--
		t := q.tasks[i]
		q.tasks[i], q.tasks[q.n] = q.tasks[q.n], nil
		q.tasks = q.tasks[:q.n]
		return t
	}
	t := q.first
	q.first = t.nextReady
	if q.first == nil {
		q.last = nil
	}
	t.nextReady = nil
	q.n--
	return t
}
