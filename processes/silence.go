package processes

import (
	"fmt"
	"math"
	"time"

	"concert/internal/frame"
	"concert/processes/internal/osproc"
)

// A worker may be unable to begin the calls that it has: it is stopped
// (SIGSTOP), or a thread that a task left behind holds the interpreter lock. No
// call runs there, so no Timeout counts. Such a worker is called silent:
//
//			       it has calls, has a thread for them, and begins none
//			active --------------------------------------------------> silent
//			   ^                                                        |  a second
//			   |     it begins a call, or answers one                   v
//			   +----------------------------------------------------- muted
//			                                                            |  5 s stopped, or 10 s
//			                                                            v
//			                                                          killed
//
//		  - After silenceTakeBack, other workers get the calls. The worker is
//	    asked for a
//		    sign of life, a GivenBack, and gets no calls before that comes.
//		  - It is killed when it was stopped for silenceStopped, or silent for
//		    silenceKill, unless it runs another call.
//
// On a busy machine a process may get no processor for seconds. So silence
// counts only the time in which no thread of the process waited for a processor
// or a disk, or ten times the time that its threads ran, if that is more; see
// couldRun. Each MiB of arguments that the worker has at hand adds 1/64 s to
// the bounds, and the clock begins anew with each MiB that it reads.
//
// The bounds are variables, as tests set others.
var (
	silenceTakeBack = time.Second
	silenceStopped  = 5 * time.Second
	silenceKill     = 10 * time.Second
)

// silence is what receive knows about a worker that may be silent. Only receive
// uses it.
type silence struct {
	looked  time.Time                 // when measure was due last; zero if nothing is to be measured
	oldest  uint32                    // number of the flight that was to begin then
	known   bool                      // threads is from then
	threads map[int]osproc.ThreadTime // what the threads of the process had done
	fed     int64                     // what worker.fed was
	silent  time.Duration             // how long the worker has been silent since it began or ended a call
	stopped time.Duration             // and stopped
	taken   time.Duration             // the longer of them when calls were taken back
	muted   bool                      // what worker.muted is
}

// couldRun returns how much of a time a process could have used: all but that
// in which one of its threads waited for a processor or a disk, or ten times
// that in which its threads ran, if that is more. stopped means that it was
// stopped.
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
			waited = elapsed // the system counts this when it is over
		}
	}
	could = max(elapsed-waited, 10*ran)
	return max(0, min(elapsed, could)), stopped && ran == 0
}

// silencePulse is how often the threads of a worker are looked at that may be
// silent.
func silenceInterval() time.Duration { return silenceTakeBack / 5 }

// unbegun returns the oldest flight of which no call has begun, if a thread has
// nothing else to do, and how many calls run.
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

// measure counts the time in which the worker was silent, since it was called
// last. The caller is look, and does not hold mu.
func (w *worker) measure(now time.Time) {
	s := &w.silence
	if s.looked.IsZero() || now.Sub(s.looked) < silenceInterval() {
		return
	}
	elapsed := min(now.Sub(s.looked), 2*silenceInterval()) // more, if this process was stopped
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

// checkSilence takes the calls back of a worker that is silent for too long,
// and kills it in the end; or sees to it that somebody looks again. The caller
// is look, and holds mu.
func (w *worker) checkSilenceLocked(now time.Time) {
	s := &w.silence
	oldest, running := w.unbegunLocked()
	switch {
	case oldest == nil && !w.muted && running > 0:
		*s = silence{}
		return
	case oldest == nil && !w.muted:
		s.looked = time.Time{} // and continues with the next call
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

// mute takes calls back that the worker has not begun, and gives it no others
// until it answers. The caller is look, and holds mu.
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
	if w.usesSlots && !w.muted { // others have just been asked
		w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: seq, Index: math.MaxUint32}))
	}
	w.muted, w.silence.muted = true, true
	w.pool.returnCallsLocked(spans...)
}

// unmute lets a worker have calls again, which has answered.
func (w *worker) unmute() {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.muted, w.silence.muted = false, false
	if w.asleep && w.roomLocked() > 0 {
		w.wakeLocked()
	}
}
