package processes

import (
	"time"

	"concert/processes/internal/shm"
)

const (
	minCalls      = 2                // minimum number of calls in a worker with slots: the running call and the next one
	maxCalls      = 1024             // maximum number of calls in a worker
	targetWork    = time.Millisecond // total run time of the calls that a worker should have
	maxPipeBytes  = 1 << 20          // maximum size of the arguments in a worker without an arena
	maxArenaBytes = 16 << 20         // maximum size of the arguments in a worker with an arena
)

// capacityLocked returns how many calls the pool should send to the worker now.
//
// A worker may have calls in advance, because the pool can take back calls that
// have not begun; see the invariant at begunLocked. From a worker with slots,
// the pool takes calls back at once, so such a worker always has a second call.
// Other workers may answer a TakeBack late. So they have only one call for each
// thread, unless their calls are quick. Each frame needs a slot of the journal,
// which limits the number of frames.
func (w *worker) capacityLocked() int {
	if w.state != active || w.trimming || w.suspended || w.bytes >= w.maxArgumentBytes() && !w.hasIdleThreadLocked() {
		return 0
	}
	want := minCalls // for each thread
	if !w.usesSlots {
		want = 1
	}
	if w.runTime > 0 {
		want = max(want, int(min(maxCalls, targetWork/w.runTime)))
	}
	capacity := want*w.pool.opts.Threads - w.count
	if w.takeBacksSent-w.takeBacksAnswered >= maxTakeBacks {
		return 0 // the process may be stopped: it has not answered the TakeBacks
	}
	if w.hasIdleThreadLocked() {
		capacity = max(capacity, 1) // for the idle thread, even if the other threads have enough calls
	}
	if w.showsBegunLocked() || w.usesGate {
		capacity = min(capacity, shm.Slots-1-len(w.frames.list))
	}
	if m := w.pool.opts.MaxTasks; m > 0 {
		capacity = min(capacity, m-w.total-w.count)
	}
	if !w.hasIdleThreadLocked() && capacity < want/4 {
		return 0 // the worker has enough calls; sending many calls together costs less
	}
	return min(want, capacity)
}

// hasIdleThreadLocked reports whether a thread of the worker is idle. The calls
// of a frame run on one thread.
func (w *worker) hasIdleThreadLocked() bool { return len(w.frames.list) < w.pool.opts.Threads }

// maxArgumentBytes returns how many bytes of arguments the worker may have.
func (w *worker) maxArgumentBytes() int {
	if w.arena != nil {
		return maxArenaBytes
	}
	return maxPipeBytes
}
