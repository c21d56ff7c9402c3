package supervisor

import (
	"errors"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A request is a start message with its files. If Options.Slots is set, each
// job takes one of these ways. The job is in server.jobs from the state "slot"
// on.
//
//		received --1--> slot --4--> running --6--> reported, the slot is free
//		   |              ^   \--5--> failed, the slot is free
//		   2              |
//		   v              |
//		waiting -----3----+
//		   \------7--> returned
//
//	 1. A slot is free. The runner receives kindStarted, before the start.
//	 2. No slot is free.
//	 3. A slot has become free, and the request is the first that waits. The
//	    message about the previous job of the slot tells the runner.
//	 4. The command has started.
//	 5. The command could not start.
//	 6. The command and its orphans have ended.
//	 7. The runner has canceled the job, or holds all jobs. A request that comes
//	    when the jobs are held is returned at once.
//
// These races are possible:
//
//   - A slot becomes free while a request is on its way. The message about the
//     previous job has no next job, and the request finds a free slot (1).
//   - A job starts (3) while the runner cancels or holds it. The runner gets
//     the message about the start, and the cancel message ends the job. After
//     Hold, each cancel message has kindHold. So no other job starts in the
//     slot of the ended job.
//   - Another receiver handles a cancel message before the start message of its
//     job. The answer is kindUnknown, and the runner sends the message again.
//   - A job may end soon after its start. The message about the start is sent
//     before the start, so it always precedes the message about the end.
type request struct {
	startMessage
	files []int
	lost  bool // whether files of the job were lost
	job   *job // nil until the request has a slot
}

// close closes the files.
func (r *request) close() {
	for _, fd := range r.files {
		unix.Close(fd)
	}
	r.files = nil
}

// accept starts a job, makes it wait for a slot, or returns it to the runner.
func (s *server) accept(r *request) {
	s.mu.Lock()
	held, free := s.held, s.hasSlotLocked()
	switch {
	case held:
	case free:
		s.reserveLocked(r)
	default:
		s.waiting = append(s.waiting, r)
	}
	s.mu.Unlock()
	switch {
	case held:
		s.giveBack(r)
	case free:
		if s.slots > 0 {
			s.tell(kindStarted, r.number)
		}
		s.launch(r)
	}
}

// hasSlotLocked reports whether a job can start.
func (s *server) hasSlotLocked() bool { return s.slots == 0 || len(s.jobs) < s.slots }

// reserveLocked gives a slot to a request. It adds the job to the map jobs
// before the command starts, because an orphan of the job may be found before
// the call that starts the command returns.
func (s *server) reserveLocked(r *request) {
	s.last++
	r.job = &job{number: r.number, order: s.last, start: time.Now()}
	s.jobs[r.number] = r.job
}

// nextLocked gives the slot of a job that has ended to the next request. It
// returns nil if no request waits.
func (s *server) nextLocked() *request {
	if len(s.waiting) == 0 || s.closing || !s.hasSlotLocked() {
		return nil
	}
	r := s.waiting[0]
	s.waiting[0] = nil
	s.waiting = s.waiting[1:]
	s.reserveLocked(r)
	return r
}

// launch starts a job that has a slot. If the job cannot start, the next job
// gets the slot.
func (s *server) launch(r *request) {
	for r != nil {
		errno := s.start(r)
		r.close()
		if errno == 0 {
			return
		}
		s.mu.Lock()
		delete(s.jobs, r.number)
		next := s.nextLocked()
		s.mu.Unlock()
		failed := failedMessage{number: r.number, errno: uint64(errno)}
		if next != nil {
			failed.next = next.number
		}
		send(s.socket, failed.append(nil))
		r = next
	}
}

// start starts the command of a request. It returns the error number if the
// command could not start.
func (s *server) start(r *request) syscall.Errno {
	files := [3]uintptr{uintptr(s.null), uintptr(s.null), uintptr(s.null)}
	next := 0
	for i := range files {
		if r.startMessage.files&(1<<i) != 0 {
			if next == len(r.files) {
				return unix.EMFILE
			}
			files[i] = uintptr(r.files[next])
			next++
		}
	}
	if r.lost {
		return unix.EMFILE
	}
	attr := s.attr
	attr.Dir = r.dir
	attr.Env = s.jobEnv(&r.startMessage)
	attr.Files = files[:]

	s.starts.RLock()
	defer s.starts.RUnlock()
	s.mu.Lock()
	s.takeGroupLocked(r.job)
	closing, shell := s.closing, s.shell
	s.mu.Unlock()
	if closing {
		return unix.ECANCELED
	}
	pid, errno := s.forkExec(r, &attr, shell)
	if errno != 0 {
		s.releaseGroup(r.job)
		return errno
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.job.pid = pid
	s.leaders[pid] = r.job
	switch {
	case s.closing:
		killJob(r.job)
	case s.paused%2 == 1:
		unix.Kill(-pid, unix.SIGSTOP)
	}
	s.hasJobs.Signal()
	return 0
}

// forkExec starts the command of a request. If there is a shell that sets
// limits, it starts the shell, which executes the command.
func (s *server) forkExec(r *request, attr *syscall.ProcAttr, shell []string) (pid int, errno syscall.Errno) {
	path, args := r.path, r.args
	if shell != nil {
		if errno := executable(r.dir, path); errno != 0 {
			return 0, errno
		}
		args = append(append(shell[:len(shell):len(shell)], path), args[1:]...)
		path = shellPath
	}
	if g := r.job.group; g != nil {
		sys := *attr.Sys
		sys.UseCgroupFD, sys.CgroupFD = true, int(g.Dir.Fd())
		own := *attr
		own.Sys = &sys
		attr = &own
	}
	r.job.start = time.Now()
	pid, err := syscall.ForkExec(path, args, attr)
	if err != nil && (!errors.As(err, &errno) || errno == 0) {
		errno = unix.EINVAL
	}
	return pid, errno
}

// cancel ends a job. If the job waits, cancel returns it to the runner;
// otherwise the processes of the job get signals. For a hold message, cancel
// returns all jobs that wait.
func (s *server) cancel(m *jobMessage) {
	var returned []*request
	s.mu.Lock()
	known := m.number == 0
	if i := slices.IndexFunc(s.waiting, func(r *request) bool { return r.number == m.number }); i >= 0 {
		known = true
		returned = append(returned, s.waiting[i])
		s.waiting = slices.Delete(s.waiting, i, i+1)
	}
	if m.kind == kindHold {
		s.held = true
		returned = append(returned, s.waiting...)
		s.waiting = nil
	}
	known = known || s.terminateLocked(m.number)
	s.mu.Unlock()
	for _, r := range returned {
		s.giveBack(r)
	}
	if !known {
		s.tell(kindUnknown, m.number)
	}
}

// giveBack tells the runner that a job does not start.
func (s *server) giveBack(r *request) {
	r.close()
	s.tell(kindReturned, r.number)
}

// tell sends a message about a job.
func (s *server) tell(kind byte, number uint64) {
	var buf [16]byte
	m := jobMessage{kind, number}
	send(s.socket, m.append(buf[:0]))
}

// startHanded starts the jobs that other goroutines hand over, because their
// threads cannot start jobs.
func (s *server) startHanded() {
	for r := range s.handed {
		s.launch(r)
	}
}
