package supervisor

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concert/cmd/concert/internal/jobs/cgroup"
)

// A Supervisor runs jobs. Its methods may be called concurrently.
//
//	Run --> pending --> socket ... supervisor ... socket --> read --> pending --> Run
type Supervisor struct {
	opts     Options
	run      string // the name of the run
	conn     *net.UnixConn
	process  *exec.Cmd
	groups   *cgroup.Tree // nil without control groups
	programs programs
	numbers  atomic.Uint64 // the number of the last job
	held     atomic.Bool   // whether Hold was called
	done     chan struct{} // closed when read has returned

	mu      sync.Mutex // guards the fields below
	pending map[uint64]*call
	closed  bool
	failure error // the reason why no job can run; nil if jobs can run

	pausing sync.Mutex // guards paused
	paused  uint64     // as in pauseMessage
}

// A call is a running call of Run. The fields other than done are written
// before done is closed.
type call struct {
	done  chan struct{}
	start func() // Job.OnStart, or nil; called by read, before done is closed
	ended endedMessage
	errno syscall.Errno // the error of the start of the command; 0 if it has started
	err   error         // any other error
}

// Start starts a supervisor. Options may be nil. The program must call Main
// first in its function main. Until Close, the program is a child subreaper:
// orphans of all its children become its children.
func Start(opts *Options) (*Supervisor, error) {
	s := &Supervisor{run: strings.ToLower(rand.Text()[:16]), done: make(chan struct{}), pending: make(map[uint64]*call)}
	if opts != nil {
		s.opts = *opts
	}
	fail := func(err error) (*Supervisor, error) {
		if s.groups != nil {
			s.groups.Close()
		}
		return nil, fmt.Errorf("start the process that supervises the commands: %w", err)
	}
	conn, peer, err := socketPair()
	if err != nil {
		return fail(err)
	}
	defer peer.Close()
	if !s.opts.noGroups {
		s.groups, _ = cgroup.NewTree(s.run, s.opts.Memory > 0) // nil if this process may not make groups
	}
	own := setup{run: s.run, grace: cmp.Or(s.opts.Grace, defaultGrace), slots: s.opts.Slots, memory: s.opts.Memory, cpu: s.opts.CPU}
	if s.groups != nil {
		own.groups, own.groupMemory = s.groups.Dir, s.groups.Memory
	}
	s.process = &exec.Cmd{
		Path:   "/proc/self/exe", // this program, even if its file was replaced
		Args:   append([]string{filepath.Base(os.Args[0])}, ownArgs()...),
		Env:    append(os.Environ(), setupVariable+"="+own.String()),
		Stderr: os.Stderr, // for a crash
		Stdin:  peer,      // the socket is file 0: the files above 2 belong to the runner, and jobs inherit them
		// If the runner dies, the kernel kills the supervisor. Without this, a
		// supervisor that a signal has stopped could not kill the jobs.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGCONT},
	}
	if s.groups != nil {
		s.process.Stdout = s.groups.Alive()
	}
	if err := subreaper.acquire(); err != nil {
		conn.Close()
		return fail(err)
	}
	if err := s.process.Start(); err != nil {
		subreaper.release()
		conn.Close()
		return fail(err)
	}
	s.conn = conn
	go s.read()
	return s, nil
}

// ownArgs returns the arguments of the supervisor. In a test binary whose
// TestMain does not call Main, these arguments prevent the tests from running
// again.
func ownArgs() []string {
	if strings.HasSuffix(os.Args[0], ".test") {
		return []string{"-test.run=^$"}
	}
	return nil
}

// Run runs a job, and returns when all of its processes have ended. The error
// is nil unless the command could not start, ctx ended before the command did,
// or the supervisor was closed or died. If ctx ends, the error is the cause of
// ctx, and the result says how the command has ended. If Hold or the end of
// ctx prevents the start of a job that waits for a slot, the error is ErrHeld.
func (s *Supervisor) Run(ctx context.Context, j Job) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	if s.held.Load() {
		return Result{}, ErrHeld
	}
	if err := checkJob(&j); err != nil {
		return Result{}, err
	}
	path, err := s.programs.find(j.Args[0])
	if err != nil {
		return Result{}, err
	}
	c := &call{done: make(chan struct{}), start: j.OnStart}
	if s.opts.Slots == 0 && c.start != nil { // otherwise a message reports the start
		c.start()
	}
	m := startMessage{number: s.numbers.Add(1), path: path, dir: j.Dir, args: j.Args, env: j.Env}
	if err := s.add(m.number, c); err != nil {
		return Result{}, err
	}
	if err := sendStart(s.conn, &m, [3]*os.File{j.Stdin, j.Stdout, j.Stderr}); err != nil {
		s.notSent(m.number, err)
	}
	if j.OnSend != nil {
		j.OnSend()
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		s.cancel(m.number)
		<-c.done
	}
	switch {
	case c.errno != 0:
		s.programs.forget(j.Args[0])
		return Result{}, startError(&j, path, c.errno)
	case c.err != nil:
		return Result{}, c.err
	case c.ended.flags&wasCanceled != 0:
		return s.result(&c.ended), context.Cause(ctx)
	}
	return s.result(&c.ended), nil
}

// cancel asks for the end of a job.
func (s *Supervisor) cancel(number uint64) {
	s.wake()
	m := jobMessage{kindCancel, number}
	if s.held.Load() { // the message of Hold may arrive later than this message
		m.kind = kindHold
	}
	s.conn.Write(m.append(nil)) // if the write fails, read will complete the call
}

// Hold prevents the start of jobs: neither a job that waits for a slot nor a
// later job will start. Jobs that run continue.
func (s *Supervisor) Hold() {
	if !s.held.Swap(true) {
		s.wake()
		m := jobMessage{kind: kindHold}
		s.conn.Write(m.append(nil)) // if the write fails, no job starts
	}
}

// wake continues the supervisor, which a job or a user may have stopped.
func (s *Supervisor) wake() { s.process.Process.Signal(syscall.SIGCONT) }

// stop asks the supervisor to kill all jobs and to exit. If it does not, it is
// killed.
func (s *Supervisor) stop() {
	s.conn.CloseWrite()
	s.wake()
	time.AfterFunc(closeTime+time.Second, func() { s.process.Process.Kill() })
}

// cancelAgain calls cancel again after a pause, if the job has not ended. It
// is needed because the cancel message may have overtaken the start of the job
// in the supervisor.
func (s *Supervisor) cancelAgain(number uint64) {
	time.AfterFunc(time.Millisecond, func() {
		s.mu.Lock()
		waits := s.pending[number] != nil
		s.mu.Unlock()
		if waits {
			s.cancel(number)
		}
	})
}

// add adds a call to the calls that wait for a message.
func (s *Supervisor) add(number uint64, c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != nil {
		return s.failure
	}
	s.pending[number] = c
	return nil
}

// notSent completes a call whose message could not be sent. If the socket has
// ended, the goroutine read completes the call.
func (s *Supervisor) notSent(number uint64, err error) {
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return
	}
	s.complete(number, func(c *call) {
		if !errors.As(err, &c.errno) {
			c.err = err
		}
	})
}

// complete ends the call with the given number. It reports false if no such
// call is pending.
func (s *Supervisor) complete(number uint64, set func(*call)) bool {
	s.mu.Lock()
	c := s.pending[number]
	delete(s.pending, number)
	s.mu.Unlock()
	if c == nil {
		return false
	}
	set(c)
	close(c.done)
	return true
}

// read receives messages until the socket ends, and then waits for the end of
// the supervisor.
func (s *Supervisor) read() {
	defer close(s.done)
	var buf [1024]byte
	var reason error
	for {
		n, err := s.conn.Read(buf[:])
		if err == nil {
			err = s.handle(buf[:n])
			if err != nil {
				reason = err
			}
		}
		if err != nil {
			break
		}
	}
	s.stop() // the supervisor may still live
	s.end(reason)
}

func (s *Supervisor) handle(b []byte) error {
	switch b[0] {
	case kindEnded:
		var m endedMessage
		if err := m.decode(b); err != nil {
			return err
		}
		if !s.complete(m.number, func(c *call) { c.ended = m }) {
			return fmt.Errorf("%w: the end of the unknown job %d", errMessage, m.number)
		}
		return s.started(m.next)
	case kindFailed:
		var m failedMessage
		if err := m.decode(b); err != nil {
			return err
		}
		if !s.complete(m.number, func(c *call) { c.errno = syscall.Errno(m.errno) }) {
			return fmt.Errorf("%w: the failure of the unknown job %d", errMessage, m.number)
		}
		return s.started(m.next)
	case kindStarted, kindReturned, kindUnknown:
		var m jobMessage
		if err := m.decode(b); err != nil {
			return err
		}
		switch m.kind {
		case kindStarted:
			return s.started(m.number)
		case kindReturned:
			if !s.complete(m.number, func(c *call) { c.err = ErrHeld }) {
				return fmt.Errorf("%w: the return of the unknown job %d", errMessage, m.number)
			}
		case kindUnknown:
			s.cancelAgain(m.number)
		}
	default:
		return fmt.Errorf("%w: kind %d", errMessage, b[0])
	}
	return nil
}

// started handles the message that a job with Options.Slots has started: it
// calls OnStart. The number 0 stands for no job.
func (s *Supervisor) started(number uint64) error {
	if number == 0 {
		return nil
	}
	s.mu.Lock()
	c := s.pending[number]
	s.mu.Unlock()
	if c == nil {
		return fmt.Errorf("%w: the start of the unknown job %d", errMessage, number)
	}
	if c.start != nil {
		c.start()
		c.start = nil
	}
	return nil
}

// end waits for the end of the supervisor, kills the processes that it has
// left, and completes the pending calls with an error.
func (s *Supervisor) end(reason error) {
	exit := s.process.Wait()
	left := 0
	if exit != nil { // if the exit code is 0, the supervisor has left no children
		if s.groups != nil {
			s.groups.Kill()
		}
		left = killAdopted(s.process.Process.Pid, s.run)
	}
	subreaper.release()
	s.conn.Close()
	if s.groups != nil {
		s.groups.Close()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed && exit == nil && left == 0 {
		s.failure = ErrClosed
	} else {
		if reason == nil {
			reason = exit
		}
		if reason == nil {
			reason = errors.New("it exited; the program must call supervisor.Main first in main")
		}
		what := "all running commands were killed"
		if left > 0 {
			what = fmt.Sprintf("%d processes could not be killed", left)
		}
		s.failure = fmt.Errorf("%w (process %d: %v); %s", ErrDied, s.process.Process.Pid, reason, what)
	}
	for number, c := range s.pending {
		delete(s.pending, number)
		c.err = s.failure
		close(c.done)
	}
}

// Close kills all running jobs, and waits until they and the supervisor have
// ended. Their calls of Run return ErrClosed. Close returns an error if the
// supervisor had died, or if a process could not be killed.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(s.failure, ErrClosed) {
		return nil
	}
	return s.failure
}

// Pause stops the process groups of all running jobs, until Resume continues
// them. When Pause returns, the message is in the socket of the supervisor. So
// the runner can then stop itself.
func (s *Supervisor) Pause() { s.setPaused(1) }

// Resume continues the jobs that Pause stopped.
func (s *Supervisor) Resume() { s.setPaused(0) }

// setPaused sends a pause message. Its number is the smallest new number that
// is odd (state 1) or even (state 0).
func (s *Supervisor) setPaused(state uint64) {
	s.pausing.Lock() // not mu: the write below can wait for the goroutine read, which needs mu
	defer s.pausing.Unlock()
	if s.paused%2 != state {
		s.paused++
		m := pauseMessage{s.paused}
		s.conn.Write(m.append(nil)) // fails only if all jobs have ended
	}
}

// result converts a message.
func (s *Supervisor) result(m *endedMessage) Result {
	status := syscall.WaitStatus(m.status)
	r := Result{
		ExitCode:   status.ExitStatus(), // -1 after a signal
		Start:      time.Unix(0, int64(m.start)),
		UserCPU:    time.Duration(m.user),
		SystemCPU:  time.Duration(m.system),
		PeakMemory: int64(m.peakMemory),
		Orphans:    int(m.orphans),
		Survivors:  int(m.survivors),
	}
	r.End = r.Start.Add(time.Duration(m.duration))
	if status.Signaled() {
		r.Signal = status.Signal()
	}
	r.CPULimit = s.opts.exceedsCPU(&r)
	r.MemoryLimit = m.flags&exceedsMemory != 0
	return r
}
