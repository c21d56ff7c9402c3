package processes

import "time"

// The pipe of the results has a read deadline, as an alarm: receive wakes up
// for the times of calls, also if the worker says nothing.

// look sees which calls the worker has begun, kills it when the time of one is
// over, and says when to look again. It reports false when the worker is dead.
func (w *worker) look() bool {
	p := w.pool
	now := time.Now()
	w.measure(now)
	p.mu.Lock()
	if w.isDead() {
		p.mu.Unlock()
		return false
	}
	w.alarm = time.Time{}
	var newest *flight
	call, young := 0, false
	for newest, call = range w.running {
		w.checkClock(newest, call, now)
		if young = !w.slots && !newest.isLong(now); young && w.count > 1 {
			w.wakeAt(newest.since.Add(lookOut))
		}
	}
	switch {
	case w.seen() && w.count > 0 && newest == nil:
		w.wakeAt(now.Add(lookOut))
	case w.count > 1 && !young:
		p.nudge() // what waits behind it may be for somebody who is idle
	}
	w.checkSilence(now)
	if w.touched && w.count == 0 {
		if over := w.quiet.Add(trimAfter); now.Before(over) {
			w.wakeAt(over)
		} else {
			w.trim()
		}
	}
	if w.alarm.IsZero() {
		w.source.pipe.SetReadDeadline(time.Time{})
	}
	if newest == nil || newest.begun == call { // always, if it is not seen in the journal
		p.mu.Unlock()
		return true
	}
	newest.since = now.Add(-lookOut) // or longer
	w.begin(newest, call)
	return true
}

// checkClock cancels a call that has run for too long, and kills the worker
// when it goes on; or sees to it that somebody looks again when it is time. The
// caller holds mu.
func (w *worker) checkClock(f *flight, call int, now time.Time) {
	c := f.clock
	if c == nil || c.call != call {
		return
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		c.expires = time.Time{}
		w.cancelCalls(f, call, call+1, ErrTimeout) // those after it have time of their own
	}
	switch {
	case !c.killAt.IsZero() && !now.Before(c.killAt):
		f.doom = c.why
		w.kill(c.why)
	case !c.killAt.IsZero():
		w.wakeAt(c.killAt)
	case !c.expires.IsZero():
		w.wakeAt(c.expires)
	}
}
