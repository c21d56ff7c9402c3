package processes

import (
	"fmt"
	"math"
	"time"

	"concert/internal/frame"
	"concert/processes/internal/osproc"
)

// A worker may be unable to begin the calls that it has: its process is stopped
// (SIGSTOP), or a thread that an earlier task started holds the interpreter
// lock. Options.Timeout does not end such a call, because the timeout counts
// from the start of the call. In this file, such a worker is called silent:
//
//	       it has calls and an idle thread, and begins none
//	active -------------------------------------------------> silent
//	   ^                                                         |  1 s
//	   |     it begins a call, or answers a TakeBack             v
//	   +----------------------------------------------------- suspended
//	                                                             |  5 s stopped, or 10 s
//	                                                             v
//	                                                           killed
//
// After silenceTakeBack, the pool takes the calls back, gives them to other
// workers, and sends the silent worker a TakeBack. The worker is suspended: it
// gets no calls until it answers the TakeBack or begins a call. The pool kills
// a worker that was stopped for silenceStopped or silent for silenceKill,
// unless the worker runs another call.
//
// On a busy machine, the system may give a process no processor for seconds.
// Such a process is not silent. So the time of silence does not include the
// time in which a thread of the process waited for a processor or a disk; see
// couldRun. The limits are 1/64 s longer for each MiB of arguments that was
// sent to the worker. When the worker has read another MiB, the time of silence
// starts at 0 again.

// silence measures the time for which a worker is silent. Only the goroutine
// of receive uses it.
type silence struct {
	measuredAt  time.Time                 // time of the last measurement; zero if the worker has no call that could begin
	oldest      uint32                    // at that time, the number of the oldest frame of which no call had begun
	known       bool                      // whether the field threads was set at that time
	threads     map[int]osproc.ThreadTime // the times of the threads of the process
	readMiB     int64                     // worker.readMiB at that time
	silent      time.Duration             // time for which the worker was silent since it last began or ended a call
	stopped     time.Duration             // the part of this time in which the process was stopped
	takenBackAt time.Duration             // max(silent, stopped) when the pool last took calls back
	suspended   bool                      // a copy of worker.suspended, read without mu
}

// couldRun returns the part of the time elapsed in which a process could
// have begun a call. The result is the larger of two values, but at most
// elapsed:
//
//   - the elapsed time less the longest time for which one thread waited for a
//     processor or a disk;
//   - ten times the time for which the threads ran, because a process that ran
//     for a tenth of the time could have begun a call.
//
// before and after are the times of the threads at the beginning and at the
// end. stopped is true if all threads are stopped at the end, and none has run
// since the beginning.
func couldRun(before, after map[int]osproc.ThreadTime, elapsed time.Duration) (could time.Duration, stopped bool) {
	var ran, waited time.Duration
	stopped = len(after) > 0
	for id, t := range after {
		stopped = stopped && t.Stopped()
		last, ok := before[id]
		if !ok {
			continue
		}
		ran += t.Ran - last.Ran
		waited = max(waited, t.Waited-last.Waited)
		if t.State == 'D' || t.State == 'R' && t.Ran == last.Ran {
			waited = elapsed // the system adds a wait to the field Waited only when the wait is over
		}
	}
	could = max(elapsed-waited, 10*ran)
	return max(0, min(elapsed, could)), stopped && ran == 0
}

// silenceInterval returns the time between two measurements of a worker that
// may be silent.
func (w *worker) silenceInterval() time.Duration { return w.pool.config.silenceTakeBack / 5 }

// unbegunLocked returns the oldest frame of which no unsettled call has begun,
// or nil if no thread of the worker is idle. It also returns the number of
// calls that run.
func (w *worker) unbegunLocked() (oldest *callFrame, running int) {
	for range w.runningLocked {
		running++
	}
	if running >= w.pool.opts.Threads {
		return nil, running
	}
	for f := range w.frames.all {
		if f.begunLocked(w) == f.settled {
			return f, running
		}
	}
	return nil, running
}

// measure adds to w.silence the time for which the worker was silent since
// the last measurement. Its caller, check, does not hold mu.
func (w *worker) measure(now time.Time) {
	s := &w.silence
	if s.measuredAt.IsZero() || now.Sub(s.measuredAt) < w.silenceInterval() {
		return
	}
	elapsed := min(now.Sub(s.measuredAt), 2*w.silenceInterval()) // if more time has passed, this process was stopped
	s.measuredAt = now
	w.pool.mu.Lock()
	oldest, _ := w.unbegunLocked()
	same := w.suspended || oldest != nil && oldest.seq == s.oldest
	if oldest != nil {
		s.oldest = oldest.seq
	}
	w.pool.mu.Unlock()
	if readMiB := w.readMiB.Load(); readMiB != s.readMiB {
		*s = silence{measuredAt: now, oldest: s.oldest, readMiB: readMiB, suspended: s.suspended}
	}
	if !same {
		s.known = false
		return
	}
	before, known := s.threads, s.known
	s.threads, s.known = osproc.ThreadTimes(w.pid), true
	if !known {
		return
	}
	could, stopped := couldRun(before, s.threads, elapsed)
	s.silent += could
	if stopped {
		s.stopped += elapsed
	}
}

// checkSilenceLocked takes calls back from a worker that has been silent for
// too long, and finally kills the worker. If the worker may be silent,
// checkSilenceLocked sets the time of the next check.
func (w *worker) checkSilenceLocked(now time.Time) {
	s := &w.silence
	oldest, running := w.unbegunLocked()
	switch {
	case oldest == nil && !w.suspended && running > 0:
		*s = silence{}
		return
	case oldest == nil && !w.suspended:
		s.measuredAt = time.Time{} // the measurement continues with the next call
		return
	case s.measuredAt.IsZero():
		s.measuredAt, s.known, s.readMiB = now, false, w.readMiB.Load()
		if oldest != nil {
			s.oldest = oldest.seq
		}
	}
	w.checkAtLocked(now.Add(w.silenceInterval()))
	limits := &w.pool.config
	more := time.Duration(w.bytes>>20) * time.Second / 64
	if running == 0 {
		switch {
		case s.stopped >= limits.silenceStopped+more:
			w.killLocked(fmt.Errorf("it was stopped (SIGSTOP) for %v and began none of its tasks", limits.silenceStopped))
			return
		case s.silent >= limits.silenceKill+more:
			w.killLocked(fmt.Errorf("it began none of its tasks for %v: a thread that an earlier task started may block it", limits.silenceKill))
			return
		}
	}
	if silent := max(s.silent, s.stopped); silent >= s.takenBackAt+limits.silenceTakeBack+more {
		s.takenBackAt = silent
		w.suspendLocked()
	}
}

// suspendLocked takes back the calls that the worker has not begun. The worker
// gets no other calls until it answers.
func (w *worker) suspendLocked() {
	var ranges []callRange
	var seq uint32
	for f := range w.frames.all {
		if f.begunLocked(w) > f.settled {
			continue
		}
		seq = f.seq
		if back := w.takeBackLocked(f, 0); back.len() > 0 {
			ranges = append(ranges, back)
		}
	}
	if w.usesSlots && !w.suspended { // to a worker without slots, takeBackLocked has sent a TakeBack
		w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: seq, Index: math.MaxUint32}))
	}
	w.suspended, w.silence.suspended = true, true
	w.pool.returnCallsLocked(ranges...)
}

// resume ends the suspension of a worker that has answered.
func (w *worker) resume() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.suspended, w.silence.suspended = false, false
	if w.asleep && w.capacityLocked() > 0 {
		w.wakeLocked()
	}
}

// The pipes of a worker end when its process ends. They can also end because a
// task has closed them, or has replaced the program of the process (exec). Such
// a process can neither receive calls nor send results, and no Timeout would
// end it, so the pool kills it.

const (
	exitTime     = 500 * time.Millisecond // a process that has closed a pipe must begin to exit within this time
	maxExitTimes = 20                     // a process that has begun to exit gets at most this many times exitTime
)

// pipeClosed is called when the pipe of a worker's calls or results has ended.
// It waits until the process ends, and kills the process if it does not exit.
// Nothing calls pipeClosed for the control pipe: the pool does not notice if a
// task closes only that pipe.
func (w *worker) pipeClosed(pipe string) {
	for range maxExitTimes {
		select {
		case <-w.dead:
			return
		case <-time.After(exitTime):
		}
		if !osproc.IsExiting(w.pid) {
			break
		}
	}
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if w.isDeadLocked() || w.state == leaving && w.count == 0 { // killAfterLocked kills a leaving worker
		return
	}
	w.killLocked(fmt.Errorf("it closed the pipe of its %s and did not exit: a task replaced the program (exec), or closed files of the worker", pipe))
}
