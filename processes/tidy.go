package processes

import (
	"runtime/debug"
	"sync/atomic"
	"time"
)

// idleAfter is how long a worker has nothing to do before it gives back the memory that its
// last tasks needed. A test has it otherwise.
var idleAfter = 5 * time.Second

// tidy has a worker give back memory when it has had nothing to do for some time: until
// then Go's runtime keeps what it has, as the next task may need as much, and what
// nobody uses any more is found only by a collection, for which an idle worker has
// no reason. A worker that stays idle does nothing more.
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

// look gives memory back if the worker has waited for long enough, or looks again later.
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
