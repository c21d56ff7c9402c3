package loop

import (
	"container/heap"
	"context"
	"math"
	"time"
)

// timer is a coroutine that is to be woken, or a scope that is to end, at some
// time.
type timer struct {
	at      time.Duration // since Loop.epoch
	seq     uint64        // of two with the same time the one that was set first is first
	taskCtx *taskContext  // that is to end, or that of the coroutine
	index   int32         // in the heap, from 1; 0 if it is not set
}

// set reports whether the timer is in the heap.
func (t *timer) set() bool { return t.index != 0 }

// timers is a heap, the soonest first; guarded by Loop.mu.
type timers struct {
	heap []*timer
	seq  uint64
}

func (ts *timers) add(t *timer, at time.Duration) {
	ts.seq++
	t.at, t.seq = at, ts.seq
	heap.Push(ts, t)
}

func (ts *timers) remove(t *timer) { heap.Remove(ts, int(t.index)-1) }

// Len is for package heap.
func (ts *timers) Len() int { return len(ts.heap) }

// Less is for package heap.
func (ts *timers) Less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// Swap is for package heap.
func (ts *timers) Swap(i, j int) {
	ts.heap[i], ts.heap[j] = ts.heap[j], ts.heap[i]
	ts.heap[i].index, ts.heap[j].index = int32(i+1), int32(j+1)
}

// Push is for package heap.
func (ts *timers) Push(x any) {
	t := x.(*timer)
	ts.heap = append(ts.heap, t)
	t.index = int32(len(ts.heap))
}

// Pop is for package heap.
func (ts *timers) Pop() any {
	last := len(ts.heap) - 1
	t := ts.heap[last]
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.index = 0
	return t
}

// elapsed is the time of the loop, since its epoch.
func (l *Loop) elapsed() time.Duration {
	if l.opts.Virtual {
		return l.virtual
	}
	return time.Since(l.epoch)
}

// fireLocked does what is due at a time.
func (l *Loop) fireLocked(now time.Duration) {
	for len(l.timers.heap) > 0 && l.timers.heap[0].at <= now {
		t := l.timers.heap[0]
		l.timers.remove(t)
		if tc := t.taskCtx; tc.deadline == nil {
			l.wakeLocked(tc.task, nil)
		} else {
			tc.endLocked(context.DeadlineExceeded)
		}
	}
}

// jumpsLocked reports, when nobody is ready, whether the virtual time can go
// on.
func (l *Loop) canJumpLocked() bool {
	return l.opts.Virtual && l.outside == 0 && len(l.timers.heap) > 0
}

// jumpLocked has the virtual time go on to the next timer.
func (l *Loop) jumpLocked() {
	l.virtual = max(l.virtual, l.timers.heap[0].at)
	l.fireLocked(l.virtual)
}

// alarmLocked sets the one timer of the runtime to the soonest of ours. It is
// called when a timer has been added. One that was removed leaves the alarm as
// it is: it finds nothing due, then.
func (l *Loop) alarmLocked() {
	if l.opts.Virtual || len(l.timers.heap) == 0 {
		return
	}
	at := l.timers.heap[0].at
	if at >= l.alarmAt {
		return
	}
	l.alarmAt = at
	d := at - l.elapsed()
	if l.alarm == nil {
		l.alarm = time.AfterFunc(d, l.onAlarm)
	} else {
		l.alarm.Reset(d)
	}
}

const never = time.Duration(math.MaxInt64)

// ring is the alarm's function, on a goroutine of its own.
func (l *Loop) onAlarm() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.fireLocked(l.elapsed())
	l.alarmAt = never
	l.alarmLocked()
	l.unlock(nil)
}

// Sleep waits for d, or until ctx ends, and then returns the cause of ctx. A d
// of zero or less lets ready coroutines run, like [Yield].
func Sleep(ctx context.Context, d time.Duration) error {
	c, err := beginAwait(ctx, opSleep)
	if err != nil {
		return err
	}
	if d <= 0 {
		c.task().yield()
		return nil
	}
	l := c.task().loop
	at := l.elapsed() + d
	if at < 0 {
		at = never
	}
	listener := c.listen()
	l.mu.Lock()
	l.timers.add(&c.task().timer, at)
	l.alarmLocked()
	return c.parkLocked(opSleep, nil, listener)
}

// Yield lets all ready coroutines run up to their next await. A coroutine that
// computes for long may call it regularly; [Offload] is better.
func Yield(ctx context.Context) error {
	c, err := beginAwait(ctx, opYield)
	if err == nil {
		c.task().yield()
	}
	return err
}
