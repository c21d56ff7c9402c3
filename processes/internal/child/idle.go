package child

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// idleAfter is the time for which a worker is idle before it returns memory
// to the system. Tests set other times.
var idleAfter = 5 * time.Second

// SetIdle sets the time after which this worker returns memory to the system.
// It is for tests, and must be called before Run.
func SetIdle(after time.Duration) { idleAfter = after }

// idleTimer collects garbage and returns memory to the system when a worker has
// been idle for idleAfter. Without it, an idle worker would keep the memory of
// its last tasks, because an idle process starts no garbage collection.
type idleTimer struct {
	since atomic.Int64 // the uptime at which the worker became idle; 0 if it is busy
	armed atomic.Bool  // whether the timer runs
	timer *time.Timer
}

func newIdleTimer() *idleTimer {
	t := new(idleTimer)
	t.timer = time.AfterFunc(time.Hour, t.check)
	t.timer.Stop()
	return t
}

// begin marks the worker as idle.
func (t *idleTimer) begin() {
	t.since.Store(int64(uptime()))
	if !t.armed.Swap(true) {
		t.timer.Reset(idleAfter)
	}
}

// end marks the worker as busy.
func (t *idleTimer) end() { t.since.Store(0) }

// check returns memory to the system if the worker has been idle for idleAfter.
// Otherwise it resets the timer.
func (t *idleTimer) check() {
	since := t.since.Load()
	if since == 0 {
		t.timer.Reset(idleAfter)
		return
	}
	if left := idleAfter - (uptime() - time.Duration(since)); left > 0 {
		t.timer.Reset(left)
		return
	}
	t.armed.Store(false) // so the next call of begin starts the timer
	debug.FreeOSMemory()
}

var started = time.Now()

// uptime returns the time for which this process has run. It reads one
// clock, so it is faster than time.Now, which reads two clocks.
func uptime() time.Duration { return time.Since(started) }
