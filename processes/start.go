package processes

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"concert"
	"concert/internal/frame"
)

// How workers come to their seats
//
//	open, refill --> spawn --> launch --ready--> a seat, or a spare
//	                   ^          |
//	                   +--pause---+ it failed; five in a row break the pool,
//	                                if nobody else has a seat
//
// A seat that becomes empty is given to the spare, and a new spare is started. Only
// without a spare does the seat wait for a process to start.

const noSeat = -1

const (
	maxFailures = 5 // workers in a row that do not become ready, before the pool is broken
	firstPause  = 20 * time.Millisecond
)

// open starts the workers and waits until they are ready.
func (p *Pool) open() error {
	beginStarter() // in a worker nobody has
	p.boot = make(chan error, p.width)
	p.mu.Lock()
	for id := range p.seats {
		p.spawn(id)
	}
	p.mu.Unlock()
	for range p.seats {
		if err := <-p.boot; err != nil {
			p.mu.Lock()
			p.closed, p.ended = err, true
			for w := range p.all {
				w.kill(errors.New("another worker could not be started"))
			}
			p.checkGone()
			p.mu.Unlock()
			<-p.gone
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.boot = nil
	p.spawn(noSeat)
	return nil
}

// spawn starts a worker for a seat, or a spare. The caller holds mu.
func (p *Pool) spawn(id int) {
	p.starting++
	go p.launch(id)
}

// launch makes a worker and its goroutines.
func (p *Pool) launch(id int) {
	w, err := p.newWorker(id)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	if err != nil {
		p.failed(id, err)
		return
	}
	p.all[w] = true
	w.limit(p.opts.StartTimeout, "it was not ready")
	go w.receive()
	go w.tell()
	go w.wait()
	if p.ended {
		w.release()
		return
	}
	if i := p.opts.Init; i != nil {
		var b bundle
		b.add(frame.CallHead{Name: i.name}, []concert.Encoded{i.arg})
		go w.send(&b) // if it fails, the worker is dead
	}
}

// newWorker starts a process, and two goroutines that collect what it prints.
func (p *Pool) newWorker(id int) (_ *worker, err error) {
	w := &worker{
		pool: p, id: id, flights: make([]flight, slots), cancels: make(chan []byte, slots),
		wake: make(chan struct{}, 1), dead: make(chan struct{}), received: make(chan struct{}), printed: make(chan struct{}),
		said: make([]outcome, 0, together), ids: make([]timedID, 0, together),
	}
	var ours, theirs []*os.File
	defer func() {
		for _, f := range theirs {
			f.Close()
		}
		if err != nil {
			for _, f := range ours {
				f.Close()
			}
			unmapShared(w.journal.mem)
			err = fmt.Errorf("processes: a worker cannot be started: %w", err)
		}
	}()
	// pipe returns our end of a new pipe and keeps the worker's for the process.
	pipe := func(weWrite bool) (*os.File, *os.File) {
		r, wr, pipeErr := os.Pipe()
		if pipeErr != nil {
			err = cmp.Or(err, pipeErr)
			return nil, nil
		}
		if weWrite {
			r, wr = wr, r
		}
		ours, theirs = append(ours, r), append(theirs, wr)
		return r, wr
	}
	tasks, tasksEnd := pipe(true)
	results, resultsEnd := pipe(false)
	control, controlEnd := pipe(true)
	stdout, stdoutEnd := pipe(false)
	stderr, stderrEnd := pipe(false)
	if err != nil {
		return nil, err
	}
	w.tasks, w.control = tasks, control
	widen(tasks)
	widen(results)
	w.source = &source{pipe: results}
	w.in = frame.NewReader(w.source, maxFrame)
	passed := []*os.File{tasksEnd, resultsEnd, controlEnd}
	mem, file, err := newShared("concert-journal", journalSize)
	switch {
	case err == nil:
		w.journal = journal{mem}
		w.journal.mark()
		theirs = append(theirs, file)
		passed = append(passed, file)
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	if w.cmd, err = p.command(passed); err != nil {
		return nil, err
	}
	w.cmd.Stdout, w.cmd.Stderr = stdoutEnd, stderrEnd
	if err = start(w.cmd); err != nil {
		return nil, err
	}
	w.pid = w.cmd.Process.Pid
	if p.opts.Memory > 0 {
		if err = boundMemory(w.cmd.Process, p.opts.Memory); err != nil {
			killGroup(w.cmd.Process)
			w.cmd.Wait()
			return nil, err
		}
	}
	var printing sync.WaitGroup
	printing.Go(func() { w.collect("stdout", stdout, nil) })
	printing.Go(func() { w.collect("stderr", stderr, &w.stderr) })
	go func() { printing.Wait(); close(w.printed) }()
	return w, nil
}

// command is the process of a worker, which is given files.
func (p *Pool) command(passed []*os.File) (*exec.Cmd, error) {
	path := image
	if path == "" {
		var err error
		if path, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(path, ownArgs()...)
	cmd.Args[0] = os.Args[0]
	cmd.Dir = p.opts.Dir
	setAttributes(cmd)
	names, err := passFiles(cmd, passed)
	if err != nil {
		return nil, err
	}
	setup := workerSetup{depth: depth + 1, files: names, prepare: p.opts.Init != nil, report: p.opts.Observer != nil}
	cmd.Env = slices.Clone(p.opts.Env)
	if p.opts.Env == nil {
		cmd.Env = os.Environ()
	}
	if !slices.ContainsFunc(cmd.Env, func(s string) bool { return strings.HasPrefix(s, "GOMAXPROCS=") }) {
		cmd.Env = append(cmd.Env, fmt.Sprint("GOMAXPROCS=", max(1, runtime.GOMAXPROCS(0)/p.width)))
	}
	if p.opts.Memory > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprint("GOMEMLIMIT=", (p.opts.Memory-64<<20)*9/10)) // it does not count what is reserved
	}
	cmd.Env = append(cmd.Env, workerEnv+"="+setup.String())
	return cmd, nil
}

// ready takes a worker that says that it is.
func (p *Pool) ready(w *worker) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state == leaving {
		return nil
	}
	if w.state != starting {
		return fmt.Errorf("%w: ready twice", frame.ErrFrame)
	}
	p.failures = 0
	w.limit(0, "")
	if w.id == noSeat {
		w.state = spare
		p.spares = append(p.spares, w)
		return nil
	}
	p.seat(w, w.id)
	if p.boot != nil {
		select {
		case p.boot <- nil:
		default: // more came than are waited for, as others died
		}
	}
	return nil
}

// seat gives a worker a seat. The caller holds mu.
func (p *Pool) seat(w *worker, id int) {
	w.id, w.state = id, seated
	p.seats[id] = w
	go w.feed()
}

// refill finds another worker for a seat. The caller holds mu.
func (p *Pool) refill(id int) {
	p.seats[id] = nil
	if p.ended {
		return
	}
	if n := len(p.spares); n > 0 {
		w := p.spares[n-1]
		p.spares = p.spares[:n-1]
		p.seat(w, id)
		id = noSeat
	}
	p.spawn(id)
}

// failed takes note of a worker that did not become ready. The caller holds mu.
func (p *Pool) failed(id int, err error) {
	if p.boot != nil {
		select {
		case p.boot <- err:
		default: // enough is known
		}
	}
	if p.boot != nil || p.ended {
		p.checkGone()
		return
	}
	if p.failures++; p.failures >= maxFailures && !slices.ContainsFunc(p.seats, func(w *worker) bool { return w != nil }) {
		p.breakLocked(err)
		p.checkEnd()
		return
	}
	p.starting++
	time.AfterFunc(firstPause<<min(p.failures, maxFailures), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.starting--
		if p.ended {
			p.checkGone()
			return
		}
		p.spawn(id)
	})
}

// drainTime is how long what a dead worker left in its pipes is waited for,
// when somebody else keeps them open.
const drainTime = 100 * time.Millisecond

// wait waits for the end of the process, and buries it:
//
//  1. It is dead, and still has its number: kill what it started.
//  2. Take what it left in the pipe, and then what only the journal has.
//  3. A call that it had begun fails; one that it had not goes to another worker.
func (w *worker) wait() {
	awaitExit(w.cmd)
	p := w.pool
	p.mu.Lock()
	killGroup(w.cmd.Process)
	w.cmd.Wait()
	close(w.dead)
	w.drain = time.Now().Add(drainTime)
	w.source.pipe.SetReadDeadline(w.drain)
	w.tasks.SetWriteDeadline(time.Now())
	w.control.SetWriteDeadline(time.Now())
	p.mu.Unlock()

	<-w.received
	if w.journal.mem != nil {
		w.source.rest = bytes.NewReader(w.journal.lost(uint64(w.in.Count())))
		for w.step() == nil {
		}
	}
	w.source.pipe.Close()
	select {
	case <-w.printed:
	case <-time.After(drainTime):
	}
	w.bury(w.cmd.ProcessState)
}

// bury takes the worker out of the pool.
func (w *worker) bury(state *os.ProcessState) {
	p := w.pool
	var back []span
	p.mu.Lock()
	var victims []victim
	for f := range w.all {
		begun := f.hasBegun(w)
		for call := f.got; call < begun; call++ {
			i := f.from + call
			victims = append(victims, victim{
				span:  span{batch: f.batch, from: i, to: i + 1, deaths: f.deaths + 1},
				begun: call == f.begun || f.deaths > 0, vain: call == f.vain, err: w.newWorkerError(f.batch.Name, state),
			})
		}
		if rest := f.rest(begun); rest.len() > 0 {
			back = append(back, rest)
		}
		p.unwatch(f.parent)
		f.stopClock()
	}
	before, id := w.state, w.id
	w.state, w.first, w.count = buried, w.next, 0
	mem := w.journal.mem
	w.journal.mem = nil
	w.limit(0, "")
	w.rouse()
	delete(p.all, w)
	p.putBack(back...)
	switch before {
	case starting:
		w.tasks.Close()
		p.failed(id, w.stillborn(state))
	case spare:
		w.tasks.Close()
		p.spares = slices.DeleteFunc(p.spares, func(other *worker) bool { return other == w })
		if !p.ended {
			p.spawn(noSeat)
		}
	case seated:
		p.refill(id)
	}
	p.checkGone()
	p.mu.Unlock()

	unmapShared(mem)
	for _, v := range victims {
		worker := id
		if v.vain || !v.begun && !v.batch.Start(v.from, worker) {
			worker = -1
		} else if p.opts.Retry != nil && w.mayAgain(v) {
			p.mu.Lock()
			p.putBack(v.span)
			p.mu.Unlock()
			continue
		}
		v.batch.Settle(v.from, worker, concert.Encoded{}, v.err)
		w.owed++
	}
	w.payUp()
}

// victim is a call under which a worker died.
type victim struct {
	span       // of the one call
	begun bool // and said so,
	vain  bool // to nobody
	err   *WorkerError
}

// mayAgain reports whether the call runs again on another worker.
func (w *worker) mayAgain(v victim) bool {
	if v.deaths >= mostDeaths || v.batch.Context().Err() != nil {
		return false
	}
	defer func() { recover() }() // a Retry that panics says no
	return w.pool.opts.Retry(v.err, v.deaths)
}

// stillborn is the error of a worker that died before it was ready.
func (w *worker) stillborn(state *os.ProcessState) error {
	if w.killed != nil {
		return fmt.Errorf("processes: a worker was not ready: %w", w.killed)
	}
	e := w.newWorkerError("", state)
	text := fmt.Sprintf("processes: a worker died before it was ready: %v", state)
	if r := e.reason(); r != "" {
		text += ": " + r
	}
	return errors.New(text)
}
