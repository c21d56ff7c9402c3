package processes

import "time"

// The pipe of results has a read deadline. When it expires, receive calls
// check, also if the worker sends nothing. So no other goroutine has to watch
// the timeouts of calls.

// check notices which calls the worker has begun, cancels calls that have run
// for too long, and kills a worker that does not end them. It sets the time of
// the next check. It reports false if the worker is dead.
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
	var newest *flight
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
		p.wakeWorkerLocked() // an idle worker may take over the calls behind it
	}
	w.checkSilenceLocked(now)
	if w.touched && w.count == 0 {
		if over := w.idleSince.Add(trimAfter); now.Before(over) {
			w.checkAtLocked(over)
		} else {
			w.trimLocked()
		}
	}
	if w.nextCheck.IsZero() {
		w.source.pipe.SetReadDeadline(time.Time{})
	}
	if newest == nil || newest.begun == call { // always true without a journal
		p.mu.Unlock()
		return true
	}
	newest.since = now.Add(-longCall) // at the latest
	w.callBegan(newest, call)
	return true
}

// checkClockLocked cancels a call that has run for longer than Options.Timeout.
// It kills the worker if the call continues after Options.Grace.
func (w *worker) checkClockLocked(f *flight, call int, now time.Time) {
	c := f.clock
	if c == nil || c.call != call {
		return
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		c.expires = time.Time{}
		w.cancelCallsLocked(f, call, call+1, ErrTimeout) // later calls have a timeout of their own
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
