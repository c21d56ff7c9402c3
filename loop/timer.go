package loop

import (
	"container/heap"
	"context"
	"math"
	"time"
)

// timer wakes a coroutine, or ends a taskContext, at a certain time.
type timer struct {
	at      time.Duration // the time when the timer fires, since Loop.epoch
	seq     uint64        // orders timers with the same time
	taskCtx *taskContext  // if the context has a deadline, the context that the timer ends; otherwise the context of the coroutine that the timer wakes
	index   int32         // the index in the heap, from 1; 0 if the timer is not set
}

// set reports whether the timer is in the heap.
func (t *timer) set() bool { return t.index != 0 }

// timers is a heap of timers, the earliest first, guarded by Loop.mu.
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

// Len implements [heap.Interface].
func (ts *timers) Len() int { return len(ts.heap) }

// Less implements [heap.Interface].
func (ts *timers) Less(i, j int) bool {
	a, b := ts.heap[i], ts.heap[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

// Swap implements [heap.Interface].
func (ts *timers) Swap(i, j int) {
	ts.heap[i], ts.heap[j] = ts.heap[j], ts.heap[i]
	ts.heap[i].index, ts.heap[j].index = int32(i+1), int32(j+1)
}

// Push implements [heap.Interface].
func (ts *timers) Push(x any) {
	t := x.(*timer)
	ts.heap = append(ts.heap, t)
	t.index = int32(len(ts.heap))
}

// Pop implements [heap.Interface].
func (ts *timers) Pop() any {
	last := len(ts.heap) - 1
	t := ts.heap[last]
	ts.heap[last] = nil
	ts.heap = ts.heap[:last]
	t.index = 0
	return t
}

// elapsed returns the time of the loop since its epoch.
func (l *Loop) elapsed() time.Duration {
	if l.opts.Virtual {
		return l.virtual
	}
	return time.Since(l.epoch)
}

// fireLocked fires the timers that are due.
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

// canJumpLocked reports whether virtual time can advance. The caller has
// checked that no coroutine is ready.
func (l *Loop) canJumpLocked() bool {
	return l.opts.Virtual && l.outside == 0 && len(l.timers.heap) > 0
}

// jumpLocked advances virtual time to the next timer.
func (l *Loop) jumpLocked() {
	l.virtual = max(l.virtual, l.timers.heap[0].at)
	l.fireLocked(l.virtual)
}

// alarmLocked sets the alarm to the earliest timer of the loop. The alarm is
// the only timer of the Go runtime that the loop uses for its timers.
// alarmLocked is called when a timer has been added. When a timer is
// removed, the alarm does not change. So it may find that no timer is due.
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

// never is the time of a timer that does not fire.
const never = time.Duration(math.MaxInt64)

// The alarm calls onAlarm on a separate goroutine.
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

// Sleep waits for d. If ctx ends first, Sleep returns the cause of ctx. If d is
// zero or less, Sleep lets ready coroutines run, like [Yield].
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

// Yield lets each ready coroutine run up to its next await. A coroutine that
// computes for long can call Yield regularly; [Offload] is better.
func Yield(ctx context.Context) error {
	c, err := beginAwait(ctx, opYield)
	if err == nil {
		c.task().yield()
	}
	return err
}
