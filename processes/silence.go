package processes

import (
	"fmt"
	"math"
	"time"

	"concert/internal/frame"
	"concert/processes/internal/osproc"
)

// A worker may be unable to begin the calls that it has: it is stopped
// (SIGSTOP), or a thread that a task has left behind holds the interpreter
// lock. No call runs there, so no Timeout counts. Such a worker is called
// silent:
//
//	       it has calls and an idle thread, and begins none
//	active -------------------------------------------------> silent
//	   ^                                                         |  1 s
//	   |     it begins a call, or answers a TakeBack             v
//	   +------------------------------------------------------ muted
//	                                                             |  5 s stopped, or 10 s
//	                                                             v
//	                                                           killed
//
// After silenceTakeBack, other workers get the calls. The worker is sent a
// TakeBack, and gets no calls until it answers or begins one. It is killed when
// it was stopped for silenceStopped, or silent for silenceKill, unless it runs
// another call.
//
// On a busy machine, a process may get no processor for seconds. So silence
// counts only the time in which no thread of the process waited for a processor
// or a disk, or ten times the time that its threads ran, if that is more; see
// couldRun. Each MiB of arguments that the worker has adds 1/64 s to the
// limits, and the clock is reset with each MiB that it reads.
//
// The limits are variables, because tests set others.
var (
	silenceTakeBack = time.Second
	silenceStopped  = 5 * time.Second
	silenceKill     = 10 * time.Second
)

// silence measures how long a worker has been silent. Only receive uses it.
type silence struct {
	looked  time.Time                 // when the last measurement was due; zero if there is nothing to measure
	oldest  uint32                    // the number of the flight that was to begin then
	known   bool                      // threads is from that measurement
	threads map[int]osproc.ThreadTime // the times of the threads of the process
	fed     int64                     // worker.readMiB at that measurement
	silent  time.Duration             // how long the worker has been silent since it began or ended a call
	stopped time.Duration             // and how long it was stopped
	taken   time.Duration             // the longer of these times when calls were taken back
	muted   bool                      // a copy of worker.muted
}

// couldRun returns for how much of an elapsed time a process could have run:
// all of it except the time in which one of its threads waited for a processor
// or a disk, or ten times the time that its threads ran, if that is more.
// stopped reports whether the process was stopped.
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
			waited = elapsed // the system adds this wait to Waited when it is over
		}
	}
	could = max(elapsed-waited, 10*ran)
	return max(0, min(elapsed, could)), stopped && ran == 0
}

// silenceInterval returns how often a worker that may be silent is measured.
func silenceInterval() time.Duration { return silenceTakeBack / 5 }

// unbegunLocked returns the oldest flight of which no call has begun, if a
// thread of the worker is idle, and how many calls run.
func (w *worker) unbegunLocked() (oldest *flight, running int) {
	for range w.runningLocked {
		running++
	}
	if running >= w.pool.opts.Threads {
		return nil, running
	}
	for f := range w.flights.all {
		if f.begunLocked(w) == f.settled {
			return f, running
		}
	}
	return nil, running
}

// measure adds the time in which the worker was silent since the last
// measurement. It is called by check, without mu.
func (w *worker) measure(now time.Time) {
	s := &w.silence
	if s.looked.IsZero() || now.Sub(s.looked) < silenceInterval() {
		return
	}
	elapsed := min(now.Sub(s.looked), 2*silenceInterval()) // it is more if this process was stopped
	s.looked = now
	w.pool.mu.Lock()
	oldest, _ := w.unbegunLocked()
	same := w.muted || oldest != nil && oldest.seq == s.oldest
	if oldest != nil {
		s.oldest = oldest.seq
	}
	w.pool.mu.Unlock()
	if fed := w.readMiB.Load(); fed != s.fed {
		*s = silence{looked: now, oldest: s.oldest, fed: fed, muted: s.muted}
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

// checkSilenceLocked takes calls back from a worker that is silent for too
// long, and finally kills it. Otherwise it sets the time of the next check. It
// is called by check.
func (w *worker) checkSilenceLocked(now time.Time) {
	s := &w.silence
	oldest, running := w.unbegunLocked()
	switch {
	case oldest == nil && !w.muted && running > 0:
		*s = silence{}
		return
	case oldest == nil && !w.muted:
		s.looked = time.Time{} // the measurement continues with the next call
		return
	case s.looked.IsZero():
		s.looked, s.known, s.fed = now, false, w.readMiB.Load()
		if oldest != nil {
			s.oldest = oldest.seq
		}
	}
	w.checkAtLocked(now.Add(silenceInterval()))
	more := time.Duration(w.bytes>>20) * time.Second / 64
	if running == 0 {
		switch {
		case s.stopped >= silenceStopped+more:
			w.killLocked(fmt.Errorf("it was stopped (SIGSTOP) for %v and began none of its tasks", silenceStopped))
			return
		case s.silent >= silenceKill+more:
			w.killLocked(fmt.Errorf("it began none of its tasks for %v: a task may have left a thread that holds it up", silenceKill))
			return
		}
	}
	if so := max(s.silent, s.stopped); so >= s.taken+silenceTakeBack+more {
		s.taken = so
		w.muteLocked()
	}
}

// muteLocked takes back the calls that the worker has not begun. The worker
// gets no others until it answers. It is called by check.
func (w *worker) muteLocked() {
	var spans []span
	var seq uint32
	for f := range w.flights.all {
		if f.begunLocked(w) > f.settled {
			continue
		}
		seq = f.seq
		if back := w.takeBackLocked(f, 0); back.len() > 0 {
			spans = append(spans, back)
		}
	}
	if w.usesSlots && !w.muted { // other workers were sent a TakeBack by takeBackLocked
		w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: seq, Index: math.MaxUint32}))
	}
	w.muted, w.silence.muted = true, true
	w.pool.returnCallsLocked(spans...)
}

// unmute allows calls for a worker that has answered.
func (w *worker) unmute() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.muted, w.silence.muted = false, false
	if w.asleep && w.roomLocked() > 0 {
		w.wakeLocked()
	}
}
