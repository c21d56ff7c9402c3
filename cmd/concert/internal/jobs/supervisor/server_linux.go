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

	"concert/cmd/concert/internal/jobs/cgroup"
)

// A server is the state of the supervisor. These goroutines use it: several
// receivers handle messages and start jobs, reap waits for the ends of
// processes and starts the jobs that wait for a slot, and timers send SIGKILL.
// There are several receivers because a receiver waits until the new process
// has executed its program.
type server struct {
	setup
	socket   int
	env      []string // variables of all jobs
	marker   string   // value of jobVariable without the number of the job
	null     int      // /dev/null
	attr     syscall.ProcAttr
	children int           // the file that lists the orphans; negative: scan /proc
	handed   chan *request // jobs for startHanded

	// starts is locked for reading while a process starts, until its pid is in
	// leaders. A write lock waits until no process is starting.
	starts sync.RWMutex

	mu        sync.Mutex      // guards the fields below
	hasJobs   sync.Cond       // its condition: leaders is not empty, or closing is set
	groups    *cgroup.Groups  // nil without control groups
	shell     []string        // sets the limits that groups do not set; nil without limits
	waiting   []*request      // requests that wait for a slot, in the order of the messages
	held      bool            // whether no further job starts
	jobs      map[uint64]*job // by the number of the job; added before the start; each job has a slot
	leaders   map[int]*job    // by the pid of the command, which is also the number of its group; added after the start
	ending    []*job          // jobs whose command has ended
	orphans   map[int]*orphan
	last      uint64 // the number of jobs that have got a slot so far
	ownPeak   uint64 // the last result of ownPeakMemory
	paused    uint64 // the largest number of a pause message so far; if it is odd, the jobs are stopped
	closing   bool
	exit      int  // the exit code after closing
	scheduled bool // whether a timer will call sweep
}

// A job is a command that has started. Its fields are guarded by server.mu.
//
//	running --the command ends--> ending --its last orphan ends--> reported
//
// If the command ends because of a cancel message, its orphans have the rest of
// the grace to end.
type job struct {
	number   uint64
	order    uint64 // the value of server.last when the job got its slot
	pid      int    // 0 until the command has started
	start    time.Time
	ending   bool
	canceled bool
	grace    bool        // SIGTERM was sent, and SIGKILL is not due yet
	kill     *time.Timer // ends the grace
	ended    endedMessage
	group    *cgroup.Group // nil without control groups
	next     *request      // starts in the slot of the job when the job is reported
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
		s.accept(&request{startMessage: m, files: p.takeFiles(), lost: p.lost})
	case kindCancel, kindHold:
		var m jobMessage
		if err := m.decode(p.message); err != nil {
			return err
		}
		s.cancel(&m)
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

// terminateLocked ends a job by SIGTERM to its group, and by SIGKILL after the
// grace. It reports false if the job has no process, because it has ended or
// another goroutine is just starting it.
func (s *server) terminateLocked(number uint64) bool {
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

// endGrace kills the processes of a canceled job that are left.
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
	s.handOver(s.report(done))
}

// terminate sends SIGTERM to a process or to a group.
func terminate(pid int) {
	unix.Kill(pid, unix.SIGTERM)
	unix.Kill(pid, unix.SIGCONT) // a stopped process only handles SIGTERM after this
}

// killJob kills a running job. It kills the group, and also the command, which
// may have moved to another group. The orphans are killed when the command has
// ended.
func killJob(j *job) {
	unix.Kill(j.pid, unix.SIGKILL)
	unix.Kill(-j.pid, unix.SIGKILL)
}

// pause stops all jobs if the number is odd, and continues them if it is even.
// It ignores a number that is smaller than the last one, because an older
// message may arrive later.
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
		if !j.ending { // otherwise the pid may belong to another process
			unix.Kill(-pid, sig)
		}
	}
}

// close kills all descendants. When no descendant is left, the goroutine reap
// exits with the code.
func (s *server) close(exit int) {
	time.AfterFunc(closeTime, func() { os.Exit(exitSurvivors) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing, s.exit = true, exit
	if s.groups != nil {
		s.groups.Kill()
	}
	for _, j := range s.leaders {
		if !j.ending { // otherwise the pid may belong to another process
			killJob(j)
		}
	}
	s.sweepLocked()
	s.hasJobs.Signal()
}
