package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A server is the state of the supervisor. These goroutines use it: several
// receivers handle messages and start jobs, reap waits for the ends of
// processes, and timers send SIGKILL. There are several receivers because a
// receiver waits until the new process has executed its program.
type server struct {
	setup
	socket   int
	env      []string // variables of all jobs
	marker   string   // value of jobVariable without the number of the job
	null     int      // /dev/null
	shell    []string // sets the limits; nil without limits
	attr     syscall.ProcAttr
	children int // the file that lists the orphans; negative: scan /proc

	// starts is locked for reading while a process starts, until its pid is in
	// leaders. Locking it for writing waits for these starts.
	starts sync.RWMutex

	mu        sync.Mutex      // guards the fields below
	hasJobs   sync.Cond       // leaders is not empty, or closing is set
	jobs      map[uint64]*job // by number, from before the start
	leaders   map[int]*job    // by pid, from after the start; the group has the same number
	ending    []*job          // jobs whose command has ended
	orphans   map[int]*orphan
	last      uint64 // the largest number that was in jobs
	ownPeak   uint64 // memory of this process, when it was read last
	paused    uint64 // number of the last pause message; odd: the jobs are stopped
	closing   bool
	exit      int  // the exit code after closing
	scheduled bool // a timer will call sweep
}

// A job is a command that has started. Its fields are guarded by server.mu.
//
//	running --the command ends--> ending --its last orphan ends--> reported
//
// If the command ends because of a cancel message, its orphans have the rest of
// the grace to end.
type job struct {
	number   uint64
	pid      int // 0 until the command has started
	start    time.Time
	ending   bool
	canceled bool
	grace    bool        // SIGTERM was sent, and SIGKILL is not due yet
	kill     *time.Timer // ends the grace
	ended    endedMessage
}

// receive handles the messages of the runner until the socket ends.
func (s *server) receive() {
	var p packet
	for {
		err := p.receive(s.socket)
		if err == nil {
			err = s.handle(&p)
		}
		p.closeFiles()
		if err != nil {
			exit := 0
			if !errors.Is(err, io.EOF) && !errors.Is(err, unix.ECONNRESET) {
				fmt.Fprintln(os.Stderr, "concert: supervise commands:", err)
				exit = exitMessage
			}
			s.close(exit)
			return
		}
	}
}

func (s *server) handle(p *packet) error {
	switch p.message[0] {
	case kindStart, kindLarge:
		var m startMessage
		if err := p.start(&m); err != nil && !p.lost {
			return err
		}
		if errno := s.start(&m, p); errno != 0 {
			failed := failedMessage{number: m.number, errno: uint64(errno)}
			send(s.socket, failed.append(nil))
		}
	case kindCancel:
		var m cancelMessage
		if err := m.decode(p.message); err != nil {
			return err
		}
		if !s.cancel(m.number) {
			m.kind = kindUnknown
			send(s.socket, m.append(nil))
		}
	case kindPause:
		var m pauseMessage
		if err := m.decode(p.message); err != nil {
			return err
		}
		s.pause(m.number)
	default:
		return fmt.Errorf("%w: kind %d", errMessage, p.message[0])
	}
	return nil
}

// start starts a job. It returns why it could not.
func (s *server) start(m *startMessage, p *packet) syscall.Errno {
	files := [3]uintptr{uintptr(s.null), uintptr(s.null), uintptr(s.null)}
	next := 0
	for i := range files {
		if m.files&(1<<i) != 0 {
			if next == len(p.files) {
				return unix.EMFILE
			}
			files[i] = uintptr(p.files[next])
			next++
		}
	}
	if p.lost {
		return unix.EMFILE
	}
	path, args := m.path, m.args
	if s.shell != nil {
		if errno := executable(m.dir, path); errno != 0 {
			return errno
		}
		args = append(append(s.shell[:len(s.shell):len(s.shell)], path), args[1:]...)
		path = shellPath
	}
	attr := s.attr
	attr.Dir = m.dir
	attr.Env = s.jobEnv(m)
	attr.Files = files[:]

	s.starts.RLock()
	defer s.starts.RUnlock()
	j := &job{number: m.number, start: time.Now()}
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return unix.ECANCELED
	}
	s.jobs[j.number] = j // before the start, because an orphan may name the job
	s.last = max(s.last, j.number)
	s.mu.Unlock()
	pid, err := syscall.ForkExec(path, args, &attr)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.jobs, m.number)
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno == 0 {
			errno = unix.EINVAL
		}
		return errno
	}
	j.pid = pid
	s.leaders[pid] = j
	switch {
	case s.closing:
		killJob(j)
	case s.paused%2 == 1:
		unix.Kill(-pid, unix.SIGSTOP)
	}
	s.hasJobs.Signal()
	return 0
}

// jobEnv returns the variables of a job.
func (s *server) jobEnv(m *startMessage) []string {
	env := make([]string, 0, len(s.env)+len(m.env)+1)
	if len(m.env) == 0 {
		env = append(env, s.env...)
	} else {
		added := make(map[string]bool, len(m.env)+1)
		for _, v := range m.env {
			name, _, _ := strings.Cut(v, "=")
			added[name] = true
		}
		for _, v := range s.env {
			if name, _, _ := strings.Cut(v, "="); !added[name] {
				env = append(env, v)
			}
		}
		for _, v := range m.env {
			if !strings.HasPrefix(v, jobVariable+"=") {
				env = append(env, v)
			}
		}
	}
	return append(env, fmt.Sprintf("%s=%s%d", jobVariable, s.marker, m.number))
}

// cancel ends a job: SIGTERM to its group, and SIGKILL after the grace. It
// reports false if the job has no process: it has ended, or another receiver is
// starting it.
func (s *server) cancel(number uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[number]
	switch {
	case j == nil || j.pid == 0:
		return false
	case j.ending || j.canceled:
		return true
	}
	j.canceled = true
	if s.grace < 0 {
		killJob(j)
		return true
	}
	terminate(-j.pid)
	j.grace = true
	j.kill = time.AfterFunc(s.grace, func() { s.endGrace(j) })
	return true
}

// endGrace kills what is left of a canceled job.
func (s *server) endGrace(j *job) {
	s.mu.Lock()
	j.grace = false
	var done []*job
	if j.ending {
		done = s.sweepLocked()
	} else {
		killJob(j)
	}
	s.mu.Unlock()
	s.report(done)
}

// terminate sends SIGTERM to a process or to a group.
func terminate(pid int) {
	unix.Kill(pid, unix.SIGTERM)
	unix.Kill(pid, unix.SIGCONT) // a stopped process handles SIGTERM only then
}

// killJob kills a job that is running: the command, which may have moved to
// another group, and the group. The end of the command kills the orphans.
func killJob(j *job) {
	unix.Kill(j.pid, unix.SIGKILL)
	unix.Kill(-j.pid, unix.SIGKILL)
}

// pause stops all jobs if the number is odd, and continues them if it is even.
// An older message, with a smaller number, may come later.
func (s *server) pause(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if number <= s.paused {
		return
	}
	s.paused = number
	sig := unix.SIGCONT
	if number%2 == 1 {
		sig = unix.SIGSTOP
	}
	for pid, j := range s.leaders {
		if !j.ending { // otherwise the pid may be that of another process
			unix.Kill(-pid, sig)
		}
	}
}

// close kills all descendants. When none is left, reap exits with the code.
func (s *server) close(exit int) {
	time.AfterFunc(closeTime, func() { os.Exit(exitSurvivors) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing, s.exit = true, exit
	for _, j := range s.leaders {
		if !j.ending { // otherwise the pid may be that of another process
			killJob(j)
		}
	}
	s.sweepLocked()
	s.hasJobs.Signal()
}
