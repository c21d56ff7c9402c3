package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// worker is the pool's side of one worker process. It has these goroutines,
// which end with the process:
//
//	dispatch      sends calls to the worker, while it is active
//	receive       reads results, notices which calls have begun, and checks timeouts
//	writeControl  sends cancellations and TakeBacks
//	collect       reads standard output; a second goroutine reads standard error
//	wait          waits for the end of the process, and reaps it
//
// Its state is guarded by the pool's mu:
//
//	starting --> standby --> active --> leaving --> reaped
//
// Other transitions: a starting worker may become active or leave, a standby
// worker may leave, and a worker in any state may die and is then reaped. Only
// active workers get calls. A leaving worker finishes its calls and exits.
type worker struct {
	pool    *Pool
	pid     int
	cmd     *exec.Cmd
	journal *shm.Journal // nil: there is none
	arena   *shm.Arena   // nil: there is none
	in      *frame.Reader
	source  *source
	tasks   *os.File // written by dispatch only, closed when dispatch ends
	control *os.File
	files   *os.File // the socket of shared values; nil: there is none
	stdout  *os.File // standard output of the process; collect reads it
	errors  *os.File // standard error of the process; collect reads it
	stderr  tail

	// Used by dispatch only:
	outgoing outgoing // frames that dispatch sends
	callable string   // the function of the last call; checkFunction has accepted it

	// Used by receive, and by wait after receive has ended:
	uncounted  int         // settled calls that are not subtracted from Pool.unsettled yet
	oomKilled  bool        // the kernel killed the process because memory was short
	outcomeBuf []outcome   // reused by settleOutcomes
	endedBuf   []endedCall // reused by settleOutcomes
	copied     uint64      // total number of results that were copied from the arena
	silence    silence     // time for which the worker has begun no call

	sent    atomic.Int64 // bytes that were sent to the worker; written by dispatch
	read    atomic.Int64 // bytes that were received from the worker; written by receive
	readMiB atomic.Int64 // MiB of large arguments that the worker has read, in total; written by dispatch

	controlWake  chan struct{} // wakes writeControl; has a buffer of one
	dispatchWake chan struct{} // wakes dispatch; has a buffer of one
	dead         chan struct{} // closed when the process has ended
	received     chan struct{} // closed when receive has ended
	printed      chan struct{} // closed when both calls of collect have forwarded all output

	// Guarded by the pool's mu:
	number            int       // index of the worker in Pool.active while it is active; noNumber if it has no number
	generation        int       // see restarts
	readySince        time.Time // when the worker became ready; zero if it is not ready yet
	state             workerState
	usesSlots         bool                  // the worker changes the slots of the journal by compare-and-swap
	setsMarks         bool                  // the worker sets marks in the slots, see shm.Journal
	usesGate          bool                  // the worker reads the gate of the journal
	mapsResults       bool                  // the worker reads CallMapped
	readsTrace        bool                  // the worker reads Trace
	usesList          bool                  // the worker reads CallList, and stores small results in the list of the journal
	takeBacksSent     uint64                // number of TakeBacks that were sent to the worker, if it uses the gate
	takeBacksAnswered uint64                // number of these TakeBacks that the worker has answered
	asleep            bool                  // dispatch waits for dispatchWake
	suspended         bool                  // the worker was silent for too long, and gets no calls until it answers
	frames            frameTable            // the calls that were sent to the worker
	count             int                   // number of calls in frames that have not settled
	bytes             int                   // size of the arguments of frames
	arguments         shm.Allocator         // spans of arguments in the arena
	touched           bool                  // whether the arena was used since it was trimmed
	trimming          bool                  // whether the arena is being trimmed; then the worker gets no calls
	idleSince         time.Time             // time since which the worker has no calls; set only if touched is true
	runTime           time.Duration         // smoothed run time of a call; 0 if unknown
	total             int                   // total number of calls that have ended
	overLimit         int                   // number of measurements in a row with more memory than Options.MaxResident
	overLimitSince    int                   // total at the first of these measurements
	nextCheck         time.Time             // when worker.receive calls worker.check; zero for never
	controlBuf        []byte                // frames for writeControl
	shared            map[*sharedValue]bool // the shared values whose Share dispatch has added to its frames
	unshare           []executor.SharedID   // released values whose Unshare dispatch has not added to its frames
	killCause         error                 // why the pool killed the process
	deadline          *time.Timer           // kills a worker that does not become ready, or does not exit
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
	maxOutcomes = 256 // maximum number of outcomes that are settled together

	maxTakeBacks    = 64                   // maximum number of unanswered TakeBacks of a worker with a gate
	maxControlBytes = 16 << 20             // maximum size of the control frames that a worker has not read
	longCall        = 5 * time.Millisecond // a call that runs for longer may take long

	minExitTime = 100 * time.Millisecond // minimum time for a worker to exit after its last call
)

// showsBegunLocked reports whether the pool can read in the journal which calls
// the worker has begun.
func (w *worker) showsBegunLocked() bool { return w.usesSlots || w.setsMarks }

// untilCheckLocked returns the time after which w.receive checks whether the
// worker has begun the next call. The time counts from the end of the previous
// call, or from the sending of the call if the worker had no other calls.
func (w *worker) untilCheckLocked() time.Duration {
	if w.showsBegunLocked() {
		return longCall
	}
	return w.silenceInterval()
}

// placeLocked allocates a span in the arena for an argument.
func (w *worker) placeLocked(bytes int) (frame.Span, bool) {
	if w.arena == nil {
		return frame.Span{}, false
	}
	w.touched = true
	return w.arguments.Allocate(bytes)
}

// trimLocked trims the arena of an idle worker. It releases mu while it trims
// the arena; the worker gets no calls in this time.
func (w *worker) trimLocked() {
	w.trimming, w.touched = true, false
	w.pool.mu.Unlock()
	w.pool.config.trimArena(w.arena)
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

// runningLocked yields the calls that the worker runs: the frame of each call,
// and the number of the call in the frame. Earlier calls of the frame may have
// ended, although their results have not arrived. If the worker runs several
// calls concurrently, yielded calls may have ended too.
func (w *worker) runningLocked(yield func(f *callFrame, call int) bool) {
	var newest *callFrame
	call := 0
	for f := range w.frames.all {
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

// runningTask returns the number of the worker and, if the worker runs exactly
// one task, the name and the call of that task.
func (w *worker) runningTask() (id int, task string, call callRange) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	n := 0
	for f := range w.runningLocked {
		task = f.batch.Name
		if f.begun >= 0 && f.begun < f.n {
			call = callRange{batch: f.batch, from: f.from + f.begun}
		}
		n++
	}
	if n > 1 {
		task, call = "", callRange{}
	}
	return w.number, task, call
}

// callsSettledLocked counts the first n unsettled calls of a frame as settled.
func (w *worker) callsSettledLocked(f *callFrame, n int) {
	f.settled += n
	for len(f.earlier) > 0 && f.earlier[0] < f.settled {
		f.earlier = f.earlier[1:]
	}
	if f.clock != nil && f.clock.call < f.settled {
		f.stopClock()
	}
	if w.total == 0 {
		w.pool.restarts.healthy(w.generation)
	}
	w.total += n
	w.count -= n
	w.removeIfDoneLocked(f)
}

// removeIfDoneLocked removes a frame if all of its calls have settled or were
// taken back. It wakes dispatch if the worker should get more calls.
func (w *worker) removeIfDoneLocked(f *callFrame) {
	if f.settled == f.n {
		w.pool.unwatchLocked(f.submitter)
		f.stopClock()
		w.bytes -= f.bytes
		if spans := w.frames.remove(f); spans > 0 {
			w.arguments.Free(spans)
		}
		if w.count == 0 && w.touched {
			w.idleSince = time.Now()
			w.checkAtLocked(w.idleSince.Add(w.pool.config.trimAfter))
		}
		w.limitExitLocked()
	}
	if w.asleep && w.capacityLocked() > 0 {
		w.wakeLocked()
	}
}

// cancelLocked makes the worker cancel the context of the running call of a
// frame. It also sets the time at which the pool kills the worker if the call
// still runs.
func (w *worker) cancelLocked(f *callFrame, cause error) {
	call, last := f.settled, f.n // without a journal, each of these calls may be the running one
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

// cancelCallsLocked cancels the calls of a frame from number call up to number
// last-1. According to the pool's data, the first of these calls runs.
func (w *worker) cancelCallsLocked(f *callFrame, call, last int, cause error) {
	c := f.clockOf(call)
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

// sendControlLocked gives a frame to writeControl. If the worker does not read
// its control frames, sendControlLocked kills the worker and reports false.
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

// checkAtLocked makes w.receive call w.check at time t or earlier.
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

// killLocked kills the process if it is not dead. The parameter why is the
// reason that errors will contain.
func (w *worker) killLocked(why error) {
	if w.state == reaped {
		return
	}
	if w.killCause == nil {
		w.killCause = why
	}
	if !w.isDeadLocked() { // the pid of a dead process may belong to another process
		osproc.KillGroup(w.cmd.Process)
	}
}

// leaveLocked makes a worker exit when it has finished its calls.
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

// limitExitLocked sets the time after which the pool kills a leaving worker
// that has finished its calls, but has not exited.
func (w *worker) limitExitLocked() {
	if w.state == leaving && w.count == 0 {
		w.killAfterLocked(max(w.pool.opts.Grace, minExitTime), "it did not exit")
	}
}

// killAfterLocked starts a timer that kills the worker after d, and stops the
// timer of an earlier call. If d is 0, it only stops that timer.
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

// writeControl writes frames to the control pipe.
func (w *worker) writeControl() {
	for {
		select {
		case <-w.controlWake:
			w.pool.mu.Lock()
			b := w.controlBuf
			w.controlBuf = nil
			w.pool.mu.Unlock()
			// Write fails if the worker is dead, or if a task has closed the
			// pipe. In the second case, the worker receives no Cancel: the
			// pool kills the worker if a canceled call exceeds Options.Grace.
			w.control.Write(b)
		case <-w.dead:
			w.control.Close()
			return
		}
	}
}
