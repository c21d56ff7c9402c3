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

// worker is one process, as the pool sees it. It has these goroutines, which
// end with it:
//
//	dispatch      sends calls to it, while it is active
//	receive       reads results, notices which calls have begun, and checks timeouts
//	writeControl  sends cancellations
//	collect       reads standard output; another one reads standard error
//	wait          waits for the end of the process, and reaps it
//
// Its state is guarded by the pool's mu:
//
//	starting --> standby --> active --> leaving --> reaped
//
// A starting worker may also become active at once. A starting or standby
// worker may also leave, and a worker in any state may die and is then reaped.
// Only active workers get calls. A leaving worker finishes the calls that it
// has.
type worker struct {
	pool    *Pool
	pid     int
	cmd     *exec.Cmd
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	in      *frame.Reader
	source  *source
	tasks   *os.File // written by dispatch only, closed when it ends
	control *os.File
	stdout  *os.File // standard output of the process; collect reads it
	errors  *os.File // standard error of the process; collect reads it
	stderr  tail

	// Used by dispatch only:
	bundle   bundle // the frames to send
	callable string // the function of the last call; checkFunction has accepted it

	// Used by receive, and by wait when receive has ended:
	uncounted  int       // settled calls that are not subtracted from Pool.unsettled yet
	oomKilled  bool      // the kernel killed it because memory was short
	outcomeBuf []outcome // reused by outcomes
	endedBuf   []timedID // reused by outcomes
	copied     uint64    // results in the arena that were copied, in total
	silence    silence   // whether it begins its calls

	readMiB atomic.Int64 // MiB of large arguments that the worker has read, in total; written by dispatch

	controlWake  chan struct{} // holds one; wakes writeControl
	dispatchWake chan struct{} // holds one; wakes dispatch
	dead         chan struct{} // closed when the process has ended
	received     chan struct{} // closed when receive has ended
	printed      chan struct{} // closed when both calls of collect have forwarded all output

	// Guarded by the pool's mu:
	number         int       // its index in Pool.active; noNumber if it has none
	generation     int       // see restarts
	readySince     time.Time // when it was ready; zero before
	state          workerState
	usesSlots      bool          // it uses the slots of the journal, by compare-and-swap
	marksSlots     bool          // it only marks there which call it begins
	usesGate       bool          // it uses the gate of the journal
	asked          uint64        // how many TakeBacks were sent to it, if it uses the gate
	answered       uint64        // how many of them it has answered
	asleep         bool          // dispatch waits for dispatchWake
	muted          bool          // it was silent for too long, and gets no calls until it answers
	flights        flights       // the calls that it has
	count          int           // how many of these calls are not settled
	bytes          int           // of the arguments of flights
	arguments      shm.Allocator // spans of arguments in the arena
	touched        bool          // whether the arena was used since it was trimmed
	trimming       bool          // whether the arena is being trimmed; then the worker gets no calls
	idleSince      time.Time     // since when it has no calls, if touched
	runTime        time.Duration // of a call, smoothed; 0 if unknown
	total          int           // calls that have ended
	overLimit      int           // measurements in a row with more memory than Options.MaxResident
	overLimitSince int           // total at the first of these measurements
	nextCheck      time.Time     // when receive will call check; zero for never
	controlBuf     []byte        // for writeControl
	killCause      error         // why the pool killed it
	deadline       *time.Timer   // kills it if it does not become ready, or does not exit
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
	maxOutcomes = 64 // outcomes that are settled together

	minCalls      = 2                // calls in a worker: one that runs, and the next
	maxCalls      = 256              // calls in a worker
	targetWork    = time.Millisecond // of work in a worker, by the run time of calls
	maxPipeBytes  = 1 << 20          // bytes of arguments in a worker without an arena
	maxArenaBytes = 16 << 20         // bytes of arguments in a worker with an arena

	maxTakeBacks    = 64       // TakeBacks that a worker with a gate may leave unanswered
	maxControlBytes = 16 << 20 // bytes of frames that a worker may leave unread
	longCall        = 5 * time.Millisecond

	minExitTime = 100 * time.Millisecond // for a worker that has finished its calls
)

// trimAfter is how long a worker is idle before the pool trims its arena. A
// test sets another time.
var trimAfter = time.Second

// roomLocked returns how many more calls the worker should get.
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
	if w.asked-w.answered >= maxTakeBacks {
		return 0 // it may be stopped, and has not read which calls were taken back
	}
	if w.hasIdleThreadLocked() {
		room = max(room, 1) // for the idle thread, even if others have enough
	}
	if w.showsBegunLocked() || w.usesGate {
		room = min(room, shm.Slots-1-len(w.flights.list))
	}
	if m := w.pool.opts.MaxTasks; m > 0 {
		room = min(room, m-w.total-w.count)
	}
	if !w.hasIdleThreadLocked() && room < want/4 {
		return 0 // it has enough calls, and sending many together costs less
	}
	return min(want, room)
}

// showsBegunLocked reports whether the journal shows which calls the worker has
// begun.
func (w *worker) showsBegunLocked() bool { return w.usesSlots || w.marksSlots }

// canTakeBackLocked reports whether the pool can take calls back without an
// answer of the worker.
func (w *worker) canTakeBackLocked() bool { return w.usesSlots || w.usesGate }

// untilCheckLocked returns how long after the end of a call receive checks
// whether the worker has begun the next one.
func (w *worker) untilCheckLocked() time.Duration {
	if w.showsBegunLocked() {
		return longCall
	}
	return silenceInterval()
}

// hasIdleThreadLocked reports whether a thread of the worker is idle. The calls
// of a flight run on one thread.
func (w *worker) hasIdleThreadLocked() bool { return len(w.flights.list) < w.pool.opts.Threads }

// maxArgumentBytes returns how many bytes of arguments the worker may have.
func (w *worker) maxArgumentBytes() int {
	if w.arena != nil {
		return maxArenaBytes
	}
	return maxPipeBytes
}

// placeLocked allocates a span in the arena for an argument.
func (w *worker) placeLocked(bytes int) (frame.Span, bool) {
	if w.arena == nil {
		return frame.Span{}, false
	}
	w.touched = true
	return w.arguments.Allocate(bytes)
}

// trimArena returns the memory of an arena to the system. A test replaces it.
var trimArena = (*shm.Arena).Trim

// trimLocked trims the arena of an idle worker, which gets no calls until that
// is done. It releases mu in the meantime.
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

// wakeLocked wakes dispatch.
func (w *worker) wakeLocked() {
	w.asleep = false
	select {
	case w.dispatchWake <- struct{}{}:
	default:
	}
}

// runningLocked yields the calls that the worker runs: the flight of each, and
// its number there. Earlier calls of the flight may have ended, with their
// results on the way. If the worker runs several calls concurrently, this is
// true for yielded calls as well.
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

// runningTask returns the number of the worker and, if it runs exactly one
// task, the name and the call of that task.
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

// takeBackLocked takes back the calls of a flight that the worker has not
// begun, from number keep on. It returns fewer, or none, if they have begun.
// Without slots and gate it returns none, and asks the worker for them, once;
// see givenBack.
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
		keep = max(keep, w.journal.Marked(f.seq, f.n)) // read after the gate is written
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

// keepLocked leaves the first calls of a flight with the worker, left in
// number, and returns the others.
func (w *worker) keepLocked(f *flight, left int) span {
	back := f.rest(left)
	w.count -= back.len()
	f.n = left
	w.removeIfDoneLocked(f)
	return back
}

// callSettledLocked counts the next call of a flight as settled.
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

// removeIfDoneLocked removes a flight if no call is left in it. It wakes
// dispatch if the worker has room now.
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

// cancelLocked makes the worker end the context of the call that runs. It sets
// the time at which the worker is killed if the call continues.
func (w *worker) cancelLocked(f *flight, cause error) {
	call, last := f.settled, f.n // without a journal, any of them may run
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

// cancelCallsLocked cancels the calls from call to last, of which the first one
// runs, as far as is known.
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

// sendControlLocked adds a frame for writeControl. It kills the worker, and
// reports false, if the worker does not read its frames.
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

// checkAtLocked makes receive call check at time t, or before.
func (w *worker) checkAtLocked(t time.Time) {
	if w.isDeadLocked() {
		return // wait has set the last deadline
	}
	if w.nextCheck.IsZero() || t.Before(w.nextCheck) {
		w.nextCheck = t
		w.source.pipe.SetReadDeadline(t)
	}
}

// isDeadLocked reports whether the process has ended.
func (w *worker) isDeadLocked() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

// killLocked kills the process, with why as the reason, unless it is dead.
func (w *worker) killLocked(why error) {
	if w.state == reaped {
		return
	}
	if w.killCause == nil {
		w.killCause = why
	}
	if !w.isDeadLocked() { // otherwise its number may belong to another process
		osproc.KillGroup(w.cmd.Process)
	}
}

// leaveLocked makes a worker end when it has finished its calls.
func (w *worker) leaveLocked() {
	switch w.state {
	case starting, standby:
		w.state = leaving
		w.tasks.Close()
	case active:
		w.state = leaving
		w.wakeLocked() // dispatch closes tasks
	default:
		return
	}
	w.limitExitLocked()
}

// limitExitLocked limits the time in which a leaving worker that has finished
// its calls must exit.
func (w *worker) limitExitLocked() {
	if w.state == leaving && w.count == 0 {
		w.killAfterLocked(max(w.pool.opts.Grace, minExitTime), "it did not end")
	}
}

// killAfterLocked kills the worker after a time, unless it is called again. A
// time of 0 only stops the timer.
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

// writeControl writes frames to the pipe of control.
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
