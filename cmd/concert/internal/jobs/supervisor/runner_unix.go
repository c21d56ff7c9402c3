//go:build unix && !linux

package supervisor

import (
	"cmp"
	"context"
	"errors"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Main does nothing: this process starts the jobs itself.
func Main() {}

// A Supervisor runs jobs. Its methods may be called concurrently.
type Supervisor struct {
	opts     Options
	shell    []string // sets the limits; nil without limits
	programs programs
	jobs     sync.WaitGroup
	slots    chan struct{} // has an element for each job that runs; nil without Options.Slots
	held     chan struct{} // closed by Hold
	hold     sync.Once     // closes held

	mu      sync.Mutex // guards the fields below
	running map[int]bool
	closed  bool
}

// Start returns a Supervisor. Options may be nil.
func Start(opts *Options) (*Supervisor, error) {
	s := &Supervisor{running: make(map[int]bool), held: make(chan struct{})}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Slots > 0 {
		s.slots = make(chan struct{}, s.opts.Slots)
	}
	s.shell = limitCommand(s.opts.Memory, s.opts.CPU)
	return s, nil
}

// Run runs a job, and returns when the processes in its group have been
// killed. The error is nil unless the command could not start, ctx ended
// before the command did, or the supervisor was closed. If ctx ends, the error
// is the cause of ctx, and the result says how the command has ended. If Hold
// or the end of ctx prevents the start of a job that waits for a slot, the
// error is ErrHeld.
func (s *Supervisor) Run(ctx context.Context, j Job) (Result, error) {
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	if err := checkJob(&j); err != nil {
		return Result{}, err
	}
	path, err := s.programs.find(j.Args[0])
	if err != nil {
		return Result{}, err
	}
	cmd := &exec.Cmd{Path: path, Args: j.Args, Dir: j.Dir, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	if s.shell != nil {
		if errno := executable(j.Dir, path); errno != 0 {
			return Result{}, startError(&j, path, errno)
		}
		cmd.Args = append(append(s.shell[:len(s.shell):len(s.shell)], path), j.Args[1:]...)
		cmd.Path = shellPath
	}
	cmd.Env = append(cmd.Environ(), j.Env...)
	// A nil *os.File in an interface is not nil.
	if j.Stdin != nil {
		cmd.Stdin = j.Stdin
	}
	if j.Stdout != nil {
		cmd.Stdout = j.Stdout
	}
	if j.Stderr != nil {
		cmd.Stderr = j.Stderr
	}
	if !s.acquire(ctx) {
		return Result{}, ErrHeld
	}
	defer s.release()
	if j.OnSend != nil {
		j.OnSend()
	}
	if j.OnStart != nil {
		j.OnStart()
	}
	start := time.Now()
	if err := s.start(cmd); err != nil {
		var errno syscall.Errno
		if errors.As(err, &errno) {
			s.programs.forget(j.Args[0])
			return Result{}, startError(&j, path, errno)
		}
		return Result{}, err
	}
	canceled := s.cancelWith(ctx, cmd.Process.Pid)
	cmd.Wait()
	end := time.Now()
	wasCanceled := canceled()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // usually fails, because no process remains
	closed := s.finish(cmd.Process.Pid)

	state := cmd.ProcessState
	r := Result{ExitCode: state.ExitCode(), Start: start, End: end, UserCPU: state.UserTime(), SystemCPU: state.SystemTime()}
	if status := state.Sys().(syscall.WaitStatus); status.Signaled() {
		r.Signal = status.Signal()
	}
	r.CPULimit = s.opts.exceedsCPU(&r)
	switch {
	case closed:
		return r, ErrClosed
	case wasCanceled:
		return r, context.Cause(ctx)
	}
	return r, nil
}

// acquire waits for a slot. It reports false after Hold, or if ctx ends.
func (s *Supervisor) acquire(ctx context.Context) bool {
	if s.slots != nil {
		select {
		case s.slots <- struct{}{}:
		case <-s.held:
			return false
		case <-ctx.Done():
			return false
		}
	}
	select {
	case <-s.held:
		s.release()
		return false
	default:
		return true
	}
}

// release frees a slot.
func (s *Supervisor) release() {
	if s.slots != nil {
		<-s.slots
	}
}

// Hold prevents the start of jobs: neither a job that waits for a slot nor a
// later job will start. Jobs that run continue.
func (s *Supervisor) Hold() { s.hold.Do(func() { close(s.held) }) }

// start starts a command and adds it to the running commands.
func (s *Supervisor) start(cmd *exec.Cmd) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.running[cmd.Process.Pid] = true
	s.jobs.Add(1)
	return nil
}

// finish removes a command from the running commands. It reports whether Close
// has killed the command.
func (s *Supervisor) finish(pid int) (closed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.running, pid)
	s.jobs.Done()
	return s.closed
}

// cancelWith sends signals to a process group when ctx ends. The returned
// function ends the watch for ctx, and reports whether a signal was sent.
func (s *Supervisor) cancelWith(ctx context.Context, pid int) (canceled func() bool) {
	ended, stopped := make(chan struct{}), make(chan bool)
	go func() {
		select {
		case <-ended:
			stopped <- false
			return
		case <-ctx.Done():
		}
		if grace := cmp.Or(s.opts.Grace, defaultGrace); grace > 0 {
			syscall.Kill(-pid, syscall.SIGTERM)
			syscall.Kill(-pid, syscall.SIGCONT) // a stopped process only handles SIGTERM after this
			deadline := time.Now().Add(grace)
			select {
			case <-ended:
			case <-time.After(grace):
			}
			for time.Now().Before(deadline) && syscall.Kill(-pid, 0) == nil { // waits for the children of a shell
				time.Sleep(10 * time.Millisecond)
			}
		}
		syscall.Kill(-pid, syscall.SIGKILL)
		<-ended
		stopped <- true
	}()
	return func() bool {
		close(ended)
		return <-stopped
	}
}

// Close kills all running jobs, and waits until they have ended. Their calls of
// Run return ErrClosed.
func (s *Supervisor) Close() error {
	s.mu.Lock()
	s.closed = true
	s.signalLocked(syscall.SIGKILL)
	s.mu.Unlock()
	s.jobs.Wait()
	return nil
}

// Pause stops the process groups of all running jobs, until Resume continues
// them.
func (s *Supervisor) Pause() { s.signal(syscall.SIGSTOP) }

// Resume continues the jobs that Pause stopped.
func (s *Supervisor) Resume() { s.signal(syscall.SIGCONT) }

func (s *Supervisor) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signalLocked(sig)
}

func (s *Supervisor) signalLocked(sig syscall.Signal) {
	for pid := range s.running {
		syscall.Kill(-pid, sig)
	}
}
