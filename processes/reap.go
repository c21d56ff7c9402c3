package processes

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"concert"
	"concert/executor"
	"concert/internal/lazy"
	"concert/processes/internal/osproc"
)

const (
	drainTime  = 100 * time.Millisecond // time to wait for the end of a process after it has closed its standard error
	outputTime = 2 * time.Second        // time to wait until Options.Output has received the last lines of a dead worker
)

// wait waits for the end of the process, and reaps it. The steps are:
//
//  1. Kill the processes that the worker has started, by the process group. The
//     pid of the dead worker is still valid, because nothing has reaped it.
//  2. Read the rest of the pipe of results, and then the results that are only
//     in the journal.
//  3. Calls that had begun fail. Other calls go to another worker. If no call
//     had begun, the next call may be the cause of the death. That call fails
//     after maxCallDeaths such deaths.
//
// The process has no ProcessState if this program ignores SIGCHLD, or if
// another part of this program has waited for all child processes.
func (w *worker) wait() {
	osproc.AwaitExit(w.cmd)
	p := w.pool
	p.mu.Lock()
	osproc.KillGroup(w.cmd.Process)
	w.cmd.Wait()
	close(w.dead)
	now := time.Now() // the pipes may not end, because other processes may have them open
	w.source.pipe.SetReadDeadline(now)
	w.stdout.SetReadDeadline(now)
	w.errors.SetReadDeadline(now)
	w.tasks.SetWriteDeadline(now)
	w.control.SetWriteDeadline(now)
	if w.files != nil {
		w.files.SetWriteDeadline(now)
	}
	p.mu.Unlock()

	<-w.received
	if w.journal != nil {
		w.source.rest = bytes.NewReader(w.journal.Unread(uint64(w.in.Count())))
		for w.readFrame() == nil {
		}
		w.settleUnsent() // an error means that the worker has written a wrong list
	}
	w.source.pipe.Close()
	if w.files != nil {
		w.files.Close()
	}
	select {
	case <-w.printed:
	case <-time.After(outputTime):
	}
	w.oomKilled = w.wasOOMKilled(w.cmd.ProcessState)
	w.reap(w.cmd.ProcessState)
}

// wasOOMKilled reports whether the kernel killed the process because memory was
// short: the process died of a SIGKILL that the pool did not send, and the
// counter of such kills has increased.
func (w *worker) wasOOMKilled(state *os.ProcessState) bool {
	if state == nil {
		return false
	}
	p := w.pool
	if s, ok := state.Sys().(syscall.WaitStatus); !ok || !s.Signaled() || s.Signal() != syscall.SIGKILL {
		return false
	}
	n := p.ooms.Count()
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.killCause != nil || n <= p.oomKills {
		return false
	}
	p.oomKills++ // so this kill explains no other death
	return true
}

// reap removes a dead worker from the pool. It settles the calls that the
// worker had begun, returns the other calls to the pool, and starts a
// replacement for the worker.
func (w *worker) reap(state *os.ProcessState) {
	p := w.pool
	var back []callRange
	p.mu.Lock()
	p.logging.Add(1)
	defer p.logging.Done()
	var victims []victim
	var dropped []callRange // canceled calls, one in each callRange
	guilty := false         // the pool killed the worker because of one of the calls
	for f := range w.frames.all {
		guilty = guilty || f.killCause != nil
	}
	for f := range w.frames.all {
		begun := f.begunLocked(w)
		for call := f.settled; call < begun; call++ {
			i := f.from + call
			v := victim{
				callRange: callRange{batch: f.batch, from: i, to: i + 1, deaths: f.deaths + 1},
				begun:     f.startedLocked(call), canceledEarly: call == f.canceledEarly, err: w.newWorkerError(f.batch.Name, state),
			}
			switch {
			case f.killCause != nil:
				v.err.killed = true
				v.err.Err = withTimeout(f.killCause, w.pool.opts.Timeout)
			case guilty:
				v.err.Err = ErrNeighbor
			}
			victims = append(victims, v)
		}
		if rest := f.rest(begun); rest.len() > 0 && f.reportedRunning {
			dropped = append(dropped, rest)
		} else if rest.len() > 0 {
			back = append(back, rest)
		}
		p.unwatchLocked(f.submitter)
		f.stopClock()
	}
	for _, v := range victims {
		v.err.Running = len(victims)
	}
	inTask, blamed := len(victims) > 0, false
	if !inTask && len(back) > 0 {
		var culprit *victim
		if back, culprit = w.blameNextLocked(back, state); culprit != nil {
			victims, blamed = append(victims, *culprit), true
		}
	}
	before, id := w.state, w.number
	w.state, w.frames, w.count = reaped, frameTable{}, 0
	journal := w.journal
	w.journal, w.usesSlots, w.setsMarks, w.usesGate, w.usesList = nil, false, false, false, false
	w.killAfterLocked(0, "")
	w.wakeLocked()
	delete(p.all, w)
	p.traffic.sent += w.sent.Load()
	p.traffic.received += w.read.Load()
	p.returnCallsLocked(back...)
	if blamed {
		p.restarts.blame(maxCallDeaths)
	}
	var why error
	if len(victims) > 0 {
		why = victims[0].err
	} else {
		why = w.deathOf(state, before)
	}
	level := slog.LevelWarn
	if guilty || w.killCause != nil && p.closed != nil { // expected: the reason was a cancellation, a timeout or Shutdown
		level = slog.LevelDebug
	}
	logged := true
	switch before {
	case starting:
		w.tasks.Close()
		logged = p.startFailedLocked(id, w.generation, why)
	case standby:
		w.tasks.Close()
		p.standby = slices.DeleteFunc(p.standby, func(other *worker) bool { return other == w })
		p.workerDiedLocked(noNumber, w.generation, w.isHealthyLocked(), false, why)
	case active:
		p.active[id] = nil
		p.workerDiedLocked(id, w.generation, w.isHealthyLocked(), inTask, why)
	case leaving:
		logged = state != nil && !state.Success()
	}
	deaths, pause := p.restarts.inRow, p.restarts.pause()
	p.checkGoneLocked()
	p.mu.Unlock()

	journal.Unmap()
	if w.arena != nil {
		w.arena.Unmap()
	}
	for _, v := range victims {
		v.err.Input = v.batch.Input(v.from)
		worker := id
		if v.err.Unbegun > 0 || v.canceledEarly || !v.begun && !v.batch.Start(v.from, worker) {
			worker = -1
		} else if p.mayAgain(v) {
			p.askRetry(v, worker)
			continue
		}
		v.batch.Settle(v.from, worker, executor.Encoded{}, v.err)
		w.uncounted++
	}
	for _, s := range dropped {
		s.batch.Settle(s.from, -1, executor.Encoded{}, concert.ErrCanceled)
		w.uncounted++
	}
	w.countSettled()
	if logged {
		task, input := "", (*concert.Input)(nil)
		if len(victims) == 1 {
			task, input = victims[0].batch.Name, victims[0].err.Input
		}
		p.logDeath(level, id, w.pid, task, input, why, deaths, pause)
	}
}

// victim is a call that fails because its worker died: the call had begun, or
// blameNextLocked has returned it.
type victim struct {
	callRange          // the call
	begun         bool // batch.Start has been called
	canceledEarly bool // the call was canceled before it started
	err           *WorkerError
}

// blameNextLocked handles the calls of a worker that died while it ran no
// call. The parameter back has the calls of the worker. The first of them,
// which the worker would have begun next, is a suspect: it may have caused
// the death. blameNextLocked counts the death for the suspect, and moves the
// suspect to the end of the returned calls, as a separate range. If
// maxCallDeaths workers have died in this way, blameNextLocked returns the
// suspect as the culprit instead.
func (w *worker) blameNextLocked(back []callRange, state *os.ProcessState) (others []callRange, culprit *victim) {
	first := back[0]
	first.to = first.from + 1
	first.unbegun++
	others = back[1:]
	if back[0].from++; back[0].len() > 0 {
		others = back
	}
	if first.unbegun < maxCallDeaths {
		return append(others, first), nil
	}
	err := w.newWorkerError(first.batch.Name, state)
	err.Unbegun = first.unbegun
	return others, &victim{callRange: first, begun: first.deaths > 0, err: err}
}

// mayAgain reports whether Options.Retry must decide about another run of
// the call.
func (p *Pool) mayAgain(v victim) bool {
	return p.opts.Retry != nil && v.deaths < maxCallDeaths && v.batch.Context().Err() == nil
}

// askRetry calls Options.Retry on another goroutine, and does not wait for it.
// If Retry returns true, the call runs again on another worker. If Retry fails,
// or does not return within the limits of the call, the call does not run
// again, and the failure of Retry is part of the task's error.
func (p *Pool) askRetry(v victim, worker int) {
	settle := func(err error) {
		v.batch.Settle(v.from, worker, executor.Encoded{}, err)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.countSettledLocked(1)
	}
	p.group.CallFor(v.batch, "it", p.opts.Grace, func() (done func()) {
		again := p.opts.Retry(v.err, v.deaths)
		return func() {
			if !again || v.batch.Context().Err() != nil {
				settle(v.err)
				return
			}
			v.died = v.err
			p.mu.Lock()
			defer p.mu.Unlock()
			p.returnCallsLocked(v.callRange)
		}
	}, func(failure error) {
		settle(errors.Join(v.err, lazy.Errorf("processes: Options.Retry failed: %w", failure)))
	})
}
