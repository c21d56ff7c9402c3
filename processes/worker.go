package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"concert/internal/frame"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// worker is one process, seen from the pool. It has these goroutines, all of
// which end with it:
//
//	feed      gives it calls, while it has a seat
//	receive   reads what comes back, sees which calls it has begun, and keeps time
//	tell      writes cancellations
//	collect   two: what it prints
//	wait      waits for its end, and buries it
//
// Its life, in state, guarded by the pool's mu:
//
//	starting --> spare --> seated --> leaving --> buried
//
// with arrows from starting to seated, from starting and spare to leaving, and
// from each to buried. Calls are given to seated workers only; a leaving one
// finishes those that it has.
type worker struct {
	pool    *Pool
	pid     int
	cmd     *exec.Cmd
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	in      *frame.Reader
	source  *source
	tasks   *os.File // written by feed only, closed when it ends
	control *os.File
	stdout  *os.File // standard output of the process; collect reads it
	errors  *os.File // standard error of the process; collect reads it
	stderr  tail

	// Of feed:
	bundle   bundle // what it is about to send
	callable string // the function of the last call, which checkFunction has passed

	// Of receive, and after it of wait:
	uncounted  int       // calls that are settled, and not counted
	oomKilled  bool      // the kernel killed it for want of memory
	outcomeBuf []outcome // room for outcomes,
	endedBuf   []timedID // and for whose they are
	copied     uint64    // results in the arena, ever
	silence    silence   // how long it has begun no call

	readMiB atomic.Int64 // MiB that it has read of frames with more, ever; written by feed

	controlWake  chan struct{} // holds one; rouses tell
	dispatchWake chan struct{} // holds one; rouses feed
	dead         chan struct{} // closed when the process has ended
	received     chan struct{} // closed when receive has ended
	printed      chan struct{} // closed when both calls of collect have passed on all output

	// Guarded by the pool's mu:
	number         int       // seat; -1 for none yet
	generation     int       // see restarts
	readySince     time.Time // when it was ready; zero before
	state          workerState
	usesSlots      bool          // it keeps to the slots of the journal, or else
	marksSlots     bool          // says there which call it begins
	usesGate       bool          // and keeps to the gate, or marks only for that
	asked          uint64        // how many TakeBacks it was sent, if it keeps to the gate
	answered       uint64        // and has answered
	asleep         bool          // feed waits for wake
	muted          bool          // it was silent for too long, and gets no calls before it answers
	flights        flights       // that it has
	count          int           // of their calls, not settled
	bytes          int           // of their arguments
	arguments      shm.Allocator // of these, in the arena
	touched        bool          // the arena has been, since it was trimmed
	trimming       bool          // and just is; then the worker gets no calls
	idleSince      time.Time     // since when there are no calls, if touched
	runTime        time.Duration // of a call, smoothed; 0 if unknown
	total          int           // calls that have ended
	overLimit      int           // looks in a row at which it had too much memory
	overLimitSince int           // total at the first of these
	nextCheck      time.Time     // when receive will wake by itself; zero for never
	controlBuf     []byte        // for tell
	killCause      error         // why the pool killed it
	deadline       *time.Timer   // kills it when it does not become ready, or does not leave
}

type workerState uint8

const (
	starting workerState = iota
	standby
	active
	leaving
	reaped
)

const (
	maxOutcomes = 64 // outcomes that are looked up together

	minCalls      = 2 // calls with a worker: one that runs, and the next
	maxCalls      = 256
	targetWork    = time.Millisecond // of work with a worker
	maxPipeBytes  = 1 << 20          // bytes of arguments with a worker,
	maxArenaBytes = 16 << 20         // or so many if it has an arena

	maxTakeBacks    = 64       // TakeBacks that a worker with a gate has not answered
	maxControlBytes = 16 << 20 // bytes of cancellations that a worker has not read
	longCall        = 5 * time.Millisecond

	minExitTime = 100 * time.Millisecond // for a worker that has nothing left to do but to end
)

// trimAfter is how long a worker has nothing to do before the memory of its
// arena is given back. A test has it otherwise.
var trimAfter = time.Second

// room is how many more calls the worker should have.
func (w *worker) roomLocked() int {
	if w.state != active || w.trimming || w.muted || w.bytes >= w.maxArgumentBytes() && !w.hasIdleThreadLocked() {
		return 0
	}
	want := minCalls // for each thread
	if !w.usesSlots {
		want = 1
	}
	if w.runTime > 0 {
		want = max(want, int(min(maxCalls, targetWork/w.runTime)))
	}
	room := want*w.pool.opts.Threads - w.count
	if w.showsBegunLocked() || w.usesGate {
		room = min(room, shm.Slots-1-w.flights.window())
	}
	if w.asked-w.answered >= maxTakeBacks {
		return 0 // it has not read which of its calls are not for it, and may be stopped
	}
	if w.hasIdleThreadLocked() {
		room = max(room, 1) // whatever waits for other threads
	}
	if m := w.pool.opts.MaxTasks; m > 0 {
		room = min(room, m-w.total-w.count)
	}
	if !w.hasIdleThreadLocked() && room < want/4 {
		return 0 // it has enough, and many at a time cost less
	}
	return min(want, room)
}

// seen reports whether the journal says which call the worker has begun.
func (w *worker) showsBegunLocked() bool { return w.usesSlots || w.marksSlots }

// exact reports whether the pool can take calls back without an answer of the
// worker.
func (w *worker) canTakeBackLocked() bool { return w.usesSlots || w.usesGate }

// untilLook is how long after a call receive looks whether the worker has begun
// the next one.
func (w *worker) untilCheckLocked() time.Duration {
	if w.showsBegunLocked() {
		return longCall
	}
	return silenceInterval()
}

// idle reports whether a thread of the worker has nothing to do: the calls of a
// flight run on one.
func (w *worker) hasIdleThreadLocked() bool { return len(w.flights.list) < w.pool.opts.Threads }

// hold is how many bytes of arguments the worker may have at hand.
func (w *worker) maxArgumentBytes() int {
	if w.arena != nil {
		return maxArenaBytes
	}
	return maxPipeBytes
}

// place finds a place in the arena for an argument.
func (w *worker) placeLocked(bytes int) (frame.Span, bool) {
	if w.arena == nil {
		return frame.Span{}, false
	}
	w.touched = true
	return w.arguments.Allocate(bytes)
}

// trimArena returns the memory of an arena to the system. A test has it take
// longer.
var trimArena = (*shm.Arena).Trim

// trim gives back the memory of the arena, which nobody uses: the worker has
// nothing to do, and gets nothing meanwhile. The caller holds mu, which is free
// meanwhile.
func (w *worker) trimLocked() {
	w.trimming, w.touched = true, false
	w.pool.mu.Unlock()
	trimArena(w.arena)
	w.pool.mu.Lock()
	w.trimming = false
	if w.asleep {
		w.wakeLocked()
	}
}

// rouse wakes feed.
func (w *worker) wakeLocked() {
	w.asleep = false
	select {
	case w.dispatchWake <- struct{}{}:
	default:
	}
}

// running yields the calls that the worker runs: the flight of each and its
// number there. Those before them may have ended, with their results on the
// way; if it runs several at a time, also some that are yielded.
func (w *worker) runningLocked(yield func(f *flight, call int) bool) {
	var newest *flight
	call := 0
	for f := range w.flights.all {
		begun := f.begunLocked(w)
		switch {
		case w.pool.opts.Threads > 1:
			if begun > f.settled && !yield(f, begun-1) {
				return
			}
		case begun == f.settled:
			if newest != nil {
				yield(newest, call)
			}
			return
		default:
			newest, call = f, begun-1
		}
	}
	if newest != nil {
		yield(newest, call)
	}
}

// doing returns the worker's number, and the name of the task that it runs, if
// that is one.
func (w *worker) runningTask() (id int, task string, call span) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	n := 0
	for f := range w.runningLocked {
		task = f.batch.Name
		if f.begun >= 0 && f.begun < f.n {
			call = span{batch: f.batch, from: f.from + f.begun}
		}
		n++
	}
	if n > 1 {
		task, call = "", span{}
	}
	return w.number, task, call
}

// withdraw takes calls back that the worker has not begun: those from number
// keep on. It returns fewer, or none, when it is too late. Without slots and
// gate it returns none, and asks the worker for them, once: see givenBack.
func (w *worker) takeBackLocked(f *flight, keep int) span {
	if w.usesSlots {
		return w.keepLocked(f, max(f.settled, f.begun+1, w.journal.TakeBack(f.seq, keep, f.n)))
	}
	keep = max(keep, f.settled, f.begun+1)
	if w.usesGate {
		if max(keep, w.journal.Marked(f.seq, f.n)) >= f.n {
			return span{}
		}
		w.asked++
		w.journal.Gate().Store(w.asked)
		keep = max(keep, w.journal.Marked(f.seq, f.n)) // not before
		w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: f.seq, Index: uint32(keep)}))
		return w.keepLocked(f, keep)
	}
	if f.asked || keep >= f.n {
		return span{}
	}
	f.asked = true
	w.sendControlLocked(frame.AppendID(nil, frame.TakeBack, frame.ID{Seq: f.seq, Index: uint32(keep)}))
	return span{}
}

// keep leaves so many calls with the worker, and takes the others.
func (w *worker) keepLocked(f *flight, left int) span {
	back := f.rest(left)
	w.count -= back.len()
	f.n = left
	w.removeIfDoneLocked(f)
	return back
}

// took takes note that a call has settled.
func (w *worker) callSettledLocked(f *flight) {
	f.settled++
	if f.clock != nil && f.clock.call < f.settled {
		f.stopClock()
	}
	if w.total == 0 {
		w.pool.restarts.good(w.generation)
	}
	w.total++
	w.count--
	w.removeIfDoneLocked(f)
}

// ended takes a flight out of the table if no call is left in it, and rouses
// feed if there is room now.
func (w *worker) removeIfDoneLocked(f *flight) {
	if f.settled == f.n {
		w.pool.unwatchLocked(f.submitter)
		f.stopClock()
		w.bytes -= f.bytes
		w.arguments.Free(w.flights.remove(f))
		if w.count == 0 && w.touched {
			w.idleSince = time.Now()
			w.checkAtLocked(w.idleSince.Add(trimAfter))
		}
		w.limitExitLocked()
	}
	if w.asleep && w.roomLocked() > 0 {
		w.wakeLocked()
	}
}

// cancel tells the worker to end the context of the call that runs, and says
// when it will be killed.
func (w *worker) cancelLocked(f *flight, cause error) {
	call, last := f.settled, f.n // any of them may be next
	switch {
	case w.showsBegunLocked():
		call = max(call, f.begunLocked(w)-1)
	case w.usesGate:
		call = max(call, w.journal.Marked(f.seq, f.n)-1)
	}
	if w.canTakeBackLocked() {
		last = call + 1
	}
	w.cancelCallsLocked(f, call, last, cause)
}

// cancelCalls is cancel for calls of which the first one runs, as far as is
// known.
func (w *worker) cancelCallsLocked(f *flight, call, last int, cause error) {
	c := f.timed(call)
	if c.cancelSent {
		return
	}
	c.cancelSent = true
	reason := frame.Canceled
	if cause == context.DeadlineExceeded || cause == ErrTimeout || f.batch.Context().Err() == context.DeadlineExceeded {
		reason = frame.Expired
	}
	c.why, c.killAt = cause, time.Now().Add(max(0, w.pool.opts.Grace))
	for ; call < last; call++ {
		if !w.sendControlLocked(frame.AppendCancel(nil, frame.ID{Seq: f.seq, Index: uint32(call)}, reason)) {
			return
		}
	}
	w.checkAtLocked(c.killAt)
}

// say has tell write a frame. If too much waits for that, the worker is killed.
func (w *worker) sendControlLocked(b []byte) bool {
	if len(w.controlBuf) > maxControlBytes {
		w.killLocked(errors.New("it does not read its control pipe"))
		return false
	}
	w.controlBuf = append(w.controlBuf, b...)
	select {
	case w.controlWake <- struct{}{}:
	default:
	}
	return true
}

// wakeAt sees to it that receive looks around then, at the latest.
func (w *worker) checkAtLocked(t time.Time) {
	if w.isDeadLocked() {
		return // wait has set its own
	}
	if w.nextCheck.IsZero() || t.Before(w.nextCheck) {
		w.nextCheck = t
		w.source.pipe.SetReadDeadline(t)
	}
}

// isDead reports whether the process has ended.
func (w *worker) isDeadLocked() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

// kill kills the process, for a reason, unless it is dead.
func (w *worker) killLocked(why error) {
	if w.state == reaped {
		return
	}
	if w.killCause == nil {
		w.killCause = why
	}
	if !w.isDeadLocked() { // or its number may be another process's by now
		osproc.KillGroup(w.cmd.Process)
	}
}

// release lets a worker end when it has finished what it has.
func (w *worker) leaveLocked() {
	switch w.state {
	case starting, standby:
		w.state = leaving
		w.tasks.Close()
	case active:
		w.state = leaving
		w.wakeLocked() // feed closes tasks
	default:
		return
	}
	w.limitExitLocked()
}

// letEnd gives a leaving worker that has finished what it had time to end.
func (w *worker) limitExitLocked() {
	if w.state == leaving && w.count == 0 {
		w.killAfterLocked(max(w.pool.opts.Grace, minExitTime), "it did not end")
	}
}

// limit kills the worker after a time, unless limit is called again.
func (w *worker) killAfterLocked(d time.Duration, why string) {
	if w.deadline != nil {
		w.deadline.Stop()
	}
	if d <= 0 {
		w.deadline = nil
		return
	}
	w.deadline = time.AfterFunc(d, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		w.killLocked(fmt.Errorf("%s within %v", why, d))
	})
}

// tell writes to the worker what there is to say.
func (w *worker) writeControl() {
	for {
		select {
		case <-w.controlWake:
			w.pool.mu.Lock()
			b := w.controlBuf
			w.controlBuf = nil
			w.pool.mu.Unlock()
			w.control.Write(b) // if it fails, the worker is dead
		case <-w.dead:
			w.control.Close()
			return
		}
	}
}
