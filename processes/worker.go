package processes

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"concert"
	"concert/internal/frame"
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
//	starting --> spare --> seated --> leaving --> dead
//
// with an arrow from each to dead, and from starting and spare to leaving. Calls are given
// to seated workers only; a leaving one finishes those that it has.
type worker struct {
	pool    *Pool
	pid     int
	cmd     *exec.Cmd
	journal journal // without memory: there is none
	in      *frame.Reader
	source  *source
	tasks   *os.File // written by feed only, closed when it ends
	control *os.File
	stderr  tail

	cancels  chan []byte   // to tell
	wake     chan struct{} // holds one; rouses feed
	dead     chan struct{} // closed when the process has ended
	received chan struct{} // closed when receive has ended
	printed  chan struct{} // closed when both collects have ended

	// Guarded by the pool's mu:
	id       int // seat; -1 for none yet
	state    workerState
	asleep   bool          // feed waits for wake
	first    uint32        // calls before this one have settled
	next     uint32        // number of the next call
	flights  []flight      // those from first to next, by number modulo slots
	count    int           // of these, not settled
	bytes    int           // their arguments in the pipe
	runTime  time.Duration // of a call, smoothed; 0 if unknown
	total    int           // calls that have ended
	alarm    time.Time     // when receive will wake by itself; zero for never
	killed   error         // why the pool killed it
	deadline *time.Timer   // kills it when it does not become ready, or does not leave
}

type workerState uint8

const (
	starting workerState = iota
	spare
	seated
	leaving
	buried
)

// flight is a call that is with a worker.
type flight struct {
	call   *concert.Call // nil: it has settled, or was withdrawn
	parent *parent
	clock  *clock // nil until it is needed
	seq    uint32
	bytes  int32
	begun  bool // its Start has been called
	told   bool // the worker has been told to cancel it
}

// clock is what a call has that runs for some time, or is cancelled.
type clock struct {
	expires time.Time   // when it has run for too long; zero for never
	killAt  time.Time   // when the worker is killed if it goes on; zero for never
	why     error       // and the reason
	stop    func() bool // of the watch over its context
}

// timed returns the clock of the call.
func (f *flight) timed() *clock {
	if f.clock == nil {
		f.clock = new(clock)
	}
	return f.clock
}

const (
	fewest  = 2 // calls with a worker: one that runs, and the next
	most    = 256
	atHand  = time.Millisecond // of work with a worker
	inPipe  = 1 << 20          // bytes of arguments with a worker
	lookOut = 5 * time.Millisecond
)

// flight returns the place of a call. The caller holds mu.
func (w *worker) flight(seq uint32) *flight { return &w.flights[seq%slots] }

// room is how many more calls the worker should have. The caller holds mu.
func (w *worker) room() int {
	if w.state != seated || w.bytes >= inPipe && w.count > 0 {
		return 0
	}
	want := fewest
	if w.runTime > 0 {
		want = int(min(most, max(fewest, atHand/w.runTime)))
	}
	if m := w.pool.opts.MaxTasks; m > 0 {
		want = min(want, m-w.total)
	}
	room := min(want-w.count, slots-1-int(w.next-w.first))
	if w.count > 0 && room < want/4 {
		return 0 // it has enough, and many at a time cost less
	}
	return room
}

// rouse wakes feed. The caller holds mu.
func (w *worker) rouse() {
	w.asleep = false
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// running returns the call that the worker runs, or nil. Calls before it may
// have ended, with their results on the way. The caller holds mu.
func (w *worker) running() (newest *flight) {
	for seq := w.first; seq != w.next; seq++ {
		f := w.flight(seq)
		if f.call == nil {
			continue
		}
		if !f.begun && !w.hasStarted(f) {
			break
		}
		newest = f
	}
	return newest
}

// doing returns the worker's number, and the name of the task that it runs.
func (w *worker) doing() (id int, task string) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	if f := w.running(); f != nil {
		task = f.call.Name
	}
	return w.id, task
}

func (w *worker) hasStarted(f *flight) bool { return w.journal.mem != nil && w.journal.started(f.seq) }

// withdraw takes a call back that the worker has not begun. It reports false
// when that is too late, or cannot be known. The caller holds mu.
func (w *worker) withdraw(f *flight) bool {
	if w.journal.mem == nil || f.begun || !w.journal.withdraw(f.seq) {
		return false
	}
	w.remove(f)
	return true
}

// remove takes a call out of the table. The caller holds mu.
func (w *worker) remove(f *flight) {
	w.pool.unwatch(f.parent)
	if f.clock != nil && f.clock.stop != nil {
		f.clock.stop()
	}
	w.count--
	w.bytes -= int(f.bytes)
	*f = flight{seq: f.seq}
	if w.state == leaving && w.count == 0 {
		w.limit(w.pool.opts.Grace, "it did not end")
	}
	for w.first != w.next && w.flight(w.first).call == nil {
		w.first++
	}
	if w.asleep && w.room() > 0 {
		w.rouse()
	}
}

// cancel tells the worker to end the context of a call, and when it will be
// killed. The caller holds mu.
func (w *worker) cancel(f *flight, cause error) {
	if f.told {
		return
	}
	f.told = true
	reason := frame.Cancelled
	if cause == context.DeadlineExceeded || cause == ErrTimeout {
		reason = frame.Expired
	}
	c := f.timed()
	c.why, c.killAt = cause, time.Now().Add(max(0, w.pool.opts.Grace))
	select {
	case w.cancels <- frame.AppendCancel(nil, f.seq, reason):
	default:
		w.kill(fmt.Errorf("it does not read what it is told; then: %w", cause))
	}
	w.wakeAt(c.killAt)
}

// wakeAt sees to it that receive looks around then, at the latest. The caller
// holds mu.
func (w *worker) wakeAt(t time.Time) {
	if w.alarm.IsZero() || t.Before(w.alarm) {
		w.alarm = t
		w.source.pipe.SetReadDeadline(t)
	}
}

// kill kills the process, for a reason, unless it is dead. The caller holds mu.
func (w *worker) kill(why error) {
	if w.state == buried {
		return
	}
	if w.killed == nil {
		w.killed = why
	}
	select {
	case <-w.dead: // its number may be another process's by now
	default:
		killGroup(w.cmd.Process)
	}
}

// release lets a worker end when it has finished what it has. The caller
// holds mu.
func (w *worker) release() {
	switch w.state {
	case starting, spare:
		w.state = leaving
		w.tasks.Close()
	case seated:
		w.state = leaving
		w.rouse() // feed closes tasks
	default:
		return
	}
	if w.count == 0 {
		w.limit(w.pool.opts.Grace, "it did not end")
	}
}

// limit kills the worker after a time, unless limit is called again. The
// caller holds mu.
func (w *worker) limit(d time.Duration, why string) {
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
		w.kill(fmt.Errorf("%s within %v", why, d))
	})
}

// tell writes cancellations to the worker.
func (w *worker) tell() {
	for {
		select {
		case b := <-w.cancels:
			w.control.Write(b) // if it fails, the worker is dead
		case <-w.dead:
			w.control.Close()
			return
		}
	}
}
