package processes

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// idleAfter is how long a worker is idle before it returns memory to the
// system. A test sets another time.
var idleAfter = 5 * time.Second

// tidy returns memory to the system after a worker has been idle for idleAfter.
// Go's runtime keeps the memory of the last tasks for the next one, and finds
// garbage only by a collection, which an idle process does not start. A worker
// that stays idle does this once.
type tidy struct {
	idle  atomic.Int64 // uptime since when there is nothing to do; 0 if there is
	armed atomic.Bool  // the timer runs
	timer *time.Timer
}

func newTidy() *tidy {
	t := new(tidy)
	t.timer = time.AfterFunc(time.Hour, t.look)
	t.timer.Stop()
	return t
}

// begin says that the worker waits.
func (t *tidy) begin() {
	t.idle.Store(int64(uptime()))
	if !t.armed.Swap(true) {
		t.timer.Reset(idleAfter)
	}
}

// end says that it has something to do.
func (t *tidy) end() { t.idle.Store(0) }

// look gives memory back if the worker has waited for long enough, or looks
// again later.
func (t *tidy) look() {
	idle := t.idle.Load()
	if idle == 0 {
		t.timer.Reset(idleAfter)
		return
	}
	if left := idleAfter - (uptime() - time.Duration(idle)); left > 0 {
		t.timer.Reset(left)
		return
	}
	t.armed.Store(false) // and the next wait arms it
	debug.FreeOSMemory()
}
