package processes

import "time"

// The pipe of the results has a read deadline, as an alarm: receive wakes up
// for the times of calls, also if the worker says nothing.

// look sees which calls the worker has begun, kills it when the time of one is
// over, and says when to look again. It reports false when the worker is dead.
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
		p.wakeWorkerLocked() // what waits behind it may be for somebody who is idle
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
	if newest == nil || newest.begun == call { // always, if it is not seen in the journal
		p.mu.Unlock()
		return true
	}
	newest.since = now.Add(-longCall) // or longer
	w.callBegan(newest, call)
	return true
}

// checkClock cancels a call that has run for too long, and kills the worker
// when it goes on; or sees to it that somebody looks again when it is time.
func (w *worker) checkClockLocked(f *flight, call int, now time.Time) {
	c := f.clock
	if c == nil || c.call != call {
		return
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		c.expires = time.Time{}
		w.cancelCallsLocked(f, call, call+1, ErrTimeout) // those after it have time of their own
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
