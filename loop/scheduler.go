package loop

import (
	"math/rand/v2"
	"runtime/pprof"

	"concert"
)

// This file is the heart of the package: who may run.
//
// The baton is the right to run as a coroutine. It is one lock, in effect: mu
// guards what it is made of, and is itself never held for longer than it takes
// to say who is next.
//
//	         grant                    park: wait for something
//	ready ------------> running --------------------------------> parked
//	  ^                  |   |                                      |
//	  |   yield          |   | leave: do what blocks                | wake
//	  +------------------+   +-----------> outside                  |
//	  |                                      | come back            |
//	  +--------------------------------------+----------------------+
//
// 1. Who has the baton and needs it no more takes the first of the ready line,
//    under mu (nextLocked), lets go of mu, and wakes that one (resume). So the
//    baton is handed over, never put down while somebody is ready: nobody can
//    take it past those who wait.
// 2. If nobody is ready it is put down: held becomes false. From then on,
//    whoever makes a coroutine ready, from wherever, takes it up for the first
//    of them, still under mu (unlock does so). So when held is false the ready
//    line is empty.
// 3. A coroutine that is woken has had its state changed under mu by the one
//    who woke it, once: who finds it not parked any more has come too late, and
//    knows so. That is what keeps an item that is handed to a coroutine from
//    being lost when the coroutine is canceled in the same instant: whoever was
//    first decides.
// 4. What a coroutine blocks on is interrupted after mu was let go of
//    (release), as that is foreign code. The coroutine does not go on before
//    that has returned, or the interrupt could hit what it does next.

// What a coroutine is doing; guarded by Loop.mu. The arrows are drawn above;
// from any state but ready and parked a coroutine gets to ended, once, by
// returning.
type state uint8

const (
	ready   state = iota // in the line
	running              // has the baton
	parked               // waits for wakeLocked, or has not begun, as one of Group.After
	outside              // blocks elsewhere, and will come back by itself
	ended
)

// grantLocked gives a coroutine the baton.
func (l *Loop) grantLocked(t *Task) *Task {
	t.state, t.started = running, true
	l.lockHeld = true
	l.steps++
	l.current.Store(t)
	return t
}

// nextLocked is called by the one who has the baton and gives it up. It returns
// the coroutine that has it now, to be passed to unlock, or nil.
func (l *Loop) handOverLocked() *Task { return l.handOverPolledLocked(false) }

// nextHeededLocked is nextLocked for one who may have looked at strangers just
// now.
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

// unlock ends what was done under mu. next is what nextLocked returned, or nil;
// if the baton lies there, what was done may have made somebody ready, or have
// left nothing that could.
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

// release lets go of mu, and does what had to wait for that. The strangers that
// it returns are to be stopped.
func (l *Loop) unlockMu() []*contextListener {
	all, listeners := l.interrupts, l.stoppedListeners
	l.interrupts, l.stoppedListeners = nil, nil
	l.mu.Unlock()
	for _, s := range all {
		go l.runInterrupt(s) // it may take its time
	}
	return listeners
}

// resume has the goroutine of a coroutine go on that was granted the baton.
func (t *Task) resume() {
	if t.grant != nil {
		t.grant <- struct{}{}
		return
	}
	t.grant = t.loop.takeGrantChan()
	go runCoroutines(t)
}

// wakeLocked makes a parked coroutine ready, with what its wait is to return.
// It reports false if somebody else has done so already.
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

// wake is wakeLocked for one who has the baton.
func (l *Loop) wake(t *Task, err error) bool {
	l.mu.Lock()
	ok := l.wakeLocked(t, err)
	l.unlock(nil)
	return ok
}

// parkLocked gives up the baton and returns when the coroutine was woken, with
// what wakeLocked was told, or at once if what could end the wait has ended. It
// lets go of mu.
//
// Before mu is taken for it, attend is called, if c can have a foreign context.
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
	if next == t { // it was the next to be woken itself
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

// yield lets every coroutine that is ready run once.
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

// leave gives up the baton, for as long as it takes until comeBack. If the
// coroutine's scope in ends meanwhile, stop is called, once, maybe on another
// goroutine; when comeBack has returned it is not running any more.
func (t *Task) leaveLoop(op op, in *taskContext, stop interrupter) {
	l := t.loop
	l.mu.Lock()
	t.state = outside
	l.outside++
	if in != nil && in.ended.Load() { // since the caller looked
		l.interruptLocked(t, stop)
	} else {
		t.waitCtx, t.waitTarget = in, stop
	}
	t.op, t.since = op, l.coarseNowLocked()
	l.unlock(l.handOverLocked())
}

func (t *Task) reenterLoop() {
	l := t.loop
	l.mu.Lock()
	t.waitCtx, t.waitTarget = nil, nil
	if t.interrupting {
		t.state = parked // until interrupt is done with it
		l.mu.Unlock()
		<-t.grant
		return
	}
	l.outside--
	l.acquireLocked(t)
}

// joinLocked waits for the baton, for a goroutine that comes from elsewhere. It
// lets go of mu.
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

// interrupter ends what a coroutine is blocked on.
type interrupter interface{ interrupt() }

// stopped is what remains to be done when mu is let go of: an interrupt, which
// is foreign code.
type pendingInterrupt struct {
	task   *Task
	target interrupter
}

// stopLocked has a coroutine be interrupted that is outside.
func (l *Loop) interruptLocked(t *Task, stop interrupter) {
	t.interrupting = true
	t.waitCtx, t.waitTarget = nil, nil
	l.interrupts = append(l.interrupts, pendingInterrupt{t, stop})
}

func (l *Loop) runInterrupt(s pendingInterrupt) {
	s.target.interrupt()
	l.mu.Lock()
	s.task.interrupting = false
	if l.wakeLocked(s.task, nil) { // it came back meanwhile
		l.outside--
	}
	l.unlock(nil)
}

// host is a goroutine that coroutines run on. One that has ended leaves it to
// another which has not begun, if that is the next to run: so a thousand short
// coroutines need one goroutine, and no switch between them.
//
// It is a channel with room for one; a token means: you have the baton.
type grantChan chan struct{}

func newGrantChan() grantChan { return make(grantChan, 1) }

// spareHost returns a host for which a goroutine is to be started.
func (l *Loop) takeGrantChan() grantChan {
	if n := len(l.spareGrantChans); n > 0 {
		h := l.spareGrantChans[n-1]
		l.spareGrantChans = l.spareGrantChans[:n-1]
		return h
	}
	return newGrantChan()
}

// spareHosts is how many hosts are kept whose goroutine has ended.
const maxSpareGrantChans = 64

// freeHost keeps the host for another goroutine. The caller has the baton.
func (l *Loop) putGrantChan(h grantChan) {
	if len(l.spareGrantChans) < maxSpareGrantChans {
		l.spareGrantChans = append(l.spareGrantChans, h)
	}
}

// work is the goroutine of a host.
func runCoroutines(t *Task) {
	pprof.SetGoroutineLabels(t.loop.labels)
	for t != nil {
		t = t.run(true)
	}
}

// run runs the coroutine to its end, and returns the next one if that is to run
// on this goroutine; else the baton has been handed on. again says whether it
// can.
func (t *Task) run(reuse bool) (next *Task) {
	returned := false
	var err error
	b := t.body
	t.body = nil
	defer func() {
		if !returned {
			err = concert.ErrGoexit
			if v := recover(); v != nil {
				p := concert.NewPanicError(v)
				p.Task = t.String()
				err = p
			} else {
				reuse = false // this goroutine ends
			}
		}
		if f, ok := b.(finisher); ok {
			f.finish(t, err)
		}
		next = t.finish(err, reuse)
	}()
	if t.ctx.ended.Load() {
		err = t.ctx.cause // it was canceled before it began
	} else {
		err = b.call(&t.ctx)
	}
	returned = true
	return nil
}

// finish ends the coroutine and gives up the baton. If the next one has not
// begun and may run on this goroutine, it is returned.
func (t *Task) finish(err error, reuse bool) (next *Task) {
	l := t.loop
	t.err = err
	t.done.Store(true)
	t.joiners.wakeAll()
	if t.group != nil {
		t.group.childEnded(t)
	}
	h := t.grant
	l.mu.Lock()
	t.state = ended
	t.grant = nil
	t.ctx.detachTreeLocked()
	l.live--
	next = l.handOverLocked()
	if next != nil && next.grant == nil && reuse {
		next.grant = h
		for _, cl := range l.unlockMu() {
			cl.stop()
		}
		return next
	}
	if reuse {
		l.putGrantChan(h)
	}
	l.unlock(next)
	return nil
}

// line is a queue of coroutines that are ready, linked through Task.next. If
// they are to be taken at random they are in a slice instead.
type runQueue struct {
	first, last *Task
	n           int

	random *rand.Rand // or nil
	tasks  []*Task
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
