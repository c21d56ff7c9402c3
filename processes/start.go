package processes

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"concert/executor"
	"concert/internal/frame"
	"concert/processes/internal/child"
	"concert/processes/internal/osproc"
	"concert/processes/internal/shm"
)

// How a worker becomes active
//
//	startWorkers, refillLocked --> spawnLocked --> launch --ready--> active, or standby
//	               ^                                 |                 |
//	               +-------------pause---------------+-----------------+ it died; see restart.go
//
// Active workers have numbers. If an active worker ends, the standby worker
// gets its number and becomes active, and the pool starts a new standby worker.
// If there is no standby worker, the next worker that is ready gets the number.

// noNumber is the number of a worker that is not active.
const noNumber = -1

// standbyDelay is the time from the start of the pool to the start of the first
// standby worker. Starting a program takes 20 to 200 ms of processor time. The
// delay leaves this time to the first tasks. A pool that ends within the delay
// needs no standby worker.
const standbyDelay = 500 * time.Millisecond

// startWorkers starts the first workers, waits until they are ready, and
// arranges the start of a standby worker.
func (p *Pool) startWorkers() error {
	osproc.BeginStarter() // needed if this process is a worker, because Main does not call BeginStarter in a worker
	p.startResults = make(chan error, p.size)
	p.mu.Lock()
	for id := range p.active {
		p.spawnLocked(id)
	}
	p.mu.Unlock()
	for range p.active {
		if err := <-p.startResults; err != nil {
			p.mu.Lock()
			p.closed, p.ended = err, true
			for w := range p.all {
				w.killLocked(errors.New("another worker could not be started"))
			}
			p.checkGoneLocked()
			p.mu.Unlock()
			<-p.gone
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startResults = nil
	p.spawnAfterLocked(noNumber, standbyDelay)
	if p.opts.MaxResident > 0 {
		go p.checkMemory()
	}
	return nil
}

// spawnLocked starts an active worker with that number, or a standby worker if
// id is noNumber.
func (p *Pool) spawnLocked(id int) {
	p.starting++
	go p.launch(id, p.restarts.generation)
}

// launch starts a worker process and the goroutines of the worker.
func (p *Pool) launch(id, generation int) {
	w, err := p.newWorker(id)
	p.mu.Lock()
	p.starting--
	if err != nil {
		p.logging.Add(1)
		defer p.logging.Done()
		logged := p.startFailedLocked(id, generation, err)
		deaths, pause := p.restarts.inRow, p.restarts.pause()
		p.mu.Unlock()
		if logged {
			p.logDeath(slog.LevelWarn, id, 0, "", nil, err, deaths, pause)
		}
		return
	}
	defer p.mu.Unlock()
	w.generation = generation
	p.all[w] = true
	w.killAfterLocked(p.opts.StartTimeout, "it was not ready")
	go w.receive()
	go w.writeControl()
	go w.wait()
	if p.watched {
		w.sendControlLocked(frame.AppendWatch(nil))
	}
	if p.ended {
		w.leaveLocked()
		return
	}
	if i := p.opts.Init; i != nil {
		var b outgoing
		b.add(frame.CallHead{Name: i.name}, []executor.Encoded{i.arg}, nil)
		go w.send(&b) // if send fails, the worker dies, or the pool kills it after Options.StartTimeout
	}
}

// newWorker starts a process, and two goroutines that collect its output.
func (p *Pool) newWorker(id int) (_ *worker, err error) {
	w := &worker{
		pool: p, number: id, controlWake: make(chan struct{}, 1),
		dispatchWake: make(chan struct{}, 1), dead: make(chan struct{}), received: make(chan struct{}), printed: make(chan struct{}),
		outcomeBuf: make([]outcome, 0, maxOutcomes), endedBuf: make([]endedCall, 0, maxOutcomes),
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
			w.journal.Unmap()
			if w.arena != nil {
				w.arena.Unmap()
			}
			err = fmt.Errorf("processes: a worker cannot be started: %w", err)
		}
	}()
	// pipe makes a pipe. It returns the end that the pool uses, and the end
	// that the worker uses.
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
	osproc.GrowPipe(tasks)
	osproc.GrowPipe(results)
	w.source = &source{pipe: results, read: &w.read}
	w.in = frame.NewReader(w.source, frame.MaxFrame)
	w.in.Limit(child.ErrorLimit(p.opts.MaxResult) + frame.Overhead)
	passed := []*os.File{tasksEnd, resultsEnd, controlEnd}
	mem, file, err := p.config.shareMemory("concert-journal", shm.JournalSize)
	switch {
	case err == nil:
		if w.journal, err = shm.NewJournal(mem); err != nil {
			shm.Unmap(mem)
			file.Close()
			return nil, fmt.Errorf("%w: %w", ErrMemory, err)
		}
		theirs = append(theirs, file)
		passed = append(passed, file)
		// The arena is optional: without it, large values are sent through
		// pipes.
		if mem, file, err := p.config.shareMemory("concert-arena", shm.ArenaSize); err == nil {
			w.arena = shm.NewArena(mem)
			w.arguments = w.arena.NewAllocator()
			theirs = append(theirs, file)
			passed = append(passed, file)
		}
	case !errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	var socket *os.File // the worker's end of the socket of shared values, or nil
	if p.opts.Command == nil || p.opts.SharedCodec != nil {
		if w.files, socket, err = shm.NewFileSocket(); err != nil {
			return nil, err
		}
		if socket != nil {
			ours, theirs = append(ours, w.files), append(theirs, socket)
		}
	}
	if w.cmd, err = p.command(passed, socket); err != nil {
		return nil, err
	}
	w.cmd.Stdout, w.cmd.Stderr = stdoutEnd, stderrEnd
	if err = p.template.settings.Start(w.cmd); err != nil {
		return nil, err
	}
	w.pid = w.cmd.Process.Pid
	if p.opts.Memory > 0 {
		if err = osproc.LimitMemory(w.cmd.Process, p.opts.Memory); err != nil {
			osproc.KillGroup(w.cmd.Process)
			w.cmd.Wait()
			return nil, err
		}
	}
	var printing sync.WaitGroup
	printing.Add(2)
	w.stdout, w.errors = stdout, stderr
	go w.collect("stdout", stdout, nil, printing.Done)
	go w.collect("stderr", stderr, &w.stderr, printing.Done)
	go func() { printing.Wait(); close(w.printed) }()
	return w, nil
}

// command returns the process of a worker, which the caller must start. The
// process inherits the files in the slice passed, and the socket of shared
// values if there is one.
func (p *Pool) command(passed []*os.File, socket *os.File) (*exec.Cmd, error) {
	cmd, err := p.template.command()
	if err != nil {
		return nil, err
	}
	confined := len(passed) // the index of the sandbox's files
	if socket != nil {
		passed = append(passed, socket)
	}
	names, err := osproc.PassFiles(cmd, append(passed, p.sandbox.Files()...))
	if err != nil {
		return nil, err
	}
	setup := child.Setup{
		Depth: child.Depth() + 1, Threads: p.opts.Threads, Files: names[:confined], Prepare: p.opts.Init != nil,
		MaxResult: p.opts.MaxResult, Report: p.opts.Observer != nil, Sandbox: p.sandbox.Restrictions(names[len(passed):]),
	}
	if socket != nil {
		setup.Shared = names[confined]
	}
	cmd.Env = append(cmd.Env, child.EnvName+"="+setup.String())
	return cmd, nil
}

// ready handles the frame Ready of a worker: it makes the worker active, or
// a standby worker.
func (p *Pool) ready(w *worker) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.state == leaving {
		return nil
	}
	if w.state != starting {
		return fmt.Errorf("%w: second Ready", frame.ErrFrame)
	}
	w.killAfterLocked(0, "")
	w.readySince = time.Now()
	if p.broken != nil {
		w.leaveLocked()
		p.reportStartLocked(p.broken)
		return nil
	}
	if w.number == noNumber || p.active[w.number] != nil {
		w.number = slices.Index(p.active, nil) // a number without an active worker, or -1, which is noNumber
	}
	if w.number == noNumber {
		w.state = standby
		p.standby = append(p.standby, w)
		return nil
	}
	p.activateLocked(w, w.number)
	p.reportStartLocked(nil)
	return nil
}

// reportStartLocked sends the result of the start of a worker to startWorkers.
func (p *Pool) reportStartLocked(err error) {
	if p.startResults != nil {
		select {
		case p.startResults <- err:
		default: // startWorkers has enough results: this worker replaces one that died
		}
	}
}

// activateLocked gives a worker its number and makes it active.
func (p *Pool) activateLocked(w *worker, id int) {
	w.number, w.state = id, active
	p.active[id] = w
	go w.dispatch()
}

// startFailedLocked counts the death of a worker that did not become ready. It
// reports whether the caller must log the death.
func (p *Pool) startFailedLocked(id, generation int, err error) bool {
	p.reportStartLocked(err)
	if p.startResults != nil || p.ended {
		p.checkGoneLocked()
		return false // New returns the error
	}
	p.workerDiedLocked(id, generation, false, false, err)
	return true
}
