package processes

import "time"

// The pipe of results has a read deadline. When the deadline has passed,
// worker.receive calls worker.check, even if the worker sends nothing. So no
// other goroutine is necessary for the timeouts of calls.

// check notices which calls the worker has begun, cancels calls that exceed
// Options.Timeout, and kills the worker if canceled calls exceed Options.Grace.
// It sets the time of the next check. It reports false if the worker is dead.
func (w *worker) check() bool {
	p := w.pool
	now := time.Now()
	w.measure(now)
	p.mu.Lock()
	if w.isDeadLocked() {
		p.mu.Unlock()
		return false
	}
	w.nextCheck = time.Time{}
	var newest *callFrame
	call, young := 0, false
	for newest, call = range w.runningLocked {
		w.checkClockLocked(newest, call, now)
		if young = !w.usesSlots && !newest.isLongLocked(now); young && w.count > 1 {
			w.checkAtLocked(newest.since.Add(longCall))
		}
	}
	switch {
	case w.showsBegunLocked() && w.count > 0 && newest == nil:
		w.checkAtLocked(now.Add(longCall))
	case w.count > 1 && !young:
		p.wakeWorkerLocked() // an idle worker may steal the calls that wait behind a slow call
	}
	w.checkSilenceLocked(now)
	if w.touched && w.count == 0 {
		if over := w.idleSince.Add(p.config.trimAfter); now.Before(over) {
			w.checkAtLocked(over)
		} else {
			w.trimLocked()
		}
	}
	if w.nextCheck.IsZero() {
		w.source.pipe.SetReadDeadline(time.Time{})
	}
	if newest == nil || newest.begun == call { // without a journal, the two numbers are always equal
		p.mu.Unlock()
		return true
	}
	newest.since = now.Add(-longCall) // the call began before this check; from now on, it counts as long
	w.callBegan(newest, call)
	return true
}

// checkClockLocked cancels a call that has run for longer than Options.Timeout.
// It kills the worker if a canceled call has run for longer than Options.Grace.
func (w *worker) checkClockLocked(f *callFrame, call int, now time.Time) {
	c := f.clock
	if c == nil || c.call != call {
		return
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		c.expires = time.Time{}
		w.cancelCallsLocked(f, call, call+1, ErrTimeout) // only this call, because each later call has its own timeout
	}
	switch {
	case !c.killAt.IsZero() && !now.Before(c.killAt):
		f.killCause = c.why
		w.killLocked(c.why)
	case !c.killAt.IsZero():
		w.checkAtLocked(c.killAt)
	case !c.expires.IsZero():
		w.checkAtLocked(c.expires)
	}
}
