package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// reap waits for the end of each child. It exits when the server is closing
// and there are no children. When a job has ended, reap itself starts the next
// job in the slot. Other children that end in this time have to wait, but a
// switch to another thread would usually take longer.
func (s *server) reap() {
	for {
		pid, err := waitChild(0)
		switch {
		case err == unix.EINTR:
		case err != nil: // ECHILD
			s.waitForJobs()
		default:
			for _, r := range s.report(s.reapChild(pid)) {
				s.launch(r)
			}
		}
	}
}

// report sends the ends of jobs to the runner. It returns the next jobs, which
// the caller must start in the slots of the ended jobs.
func (s *server) report(done []*job) (next []*request) {
	var buf [256]byte
	for _, j := range done {
		send(s.socket, j.ended.append(buf[:0]))
		if j.next != nil {
			next = append(next, j.next)
		}
	}
	return next
}

// handOver lets another goroutine start jobs.
func (s *server) handOver(next []*request) {
	for _, r := range next {
		s.handed <- r
	}
}

// waitChild waits until a child has ended, and returns its pid. It does not
// reap the child, so the pid and the process group stay valid.
func waitChild(flags int) (pid int, err error) {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|flags, nil); err != nil {
		return 0, err
	}
	// The pid is the first field of a union. The union follows three numbers,
	// and is aligned to the size of a pointer.
	const align = unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), (3*4+align-1)&^(align-1)))), nil
}

// waitForJobs is called when there are no children. It returns when a job has
// started. If the server is closing, it exits.
func (s *server) waitForJobs() {
	s.mu.Lock()
	for len(s.leaders) == 0 && !s.closing {
		s.hasJobs.Wait()
	}
	closing, exit := s.closing, s.exit
	s.mu.Unlock()
	if closing {
		s.starts.Lock() // never released: no later job starts
		defer s.starts.Unlock()
		if _, err := waitChild(unix.WNOHANG); err == unix.ECHILD {
			os.Exit(exit)
		}
	}
}

// reapChild reaps a child that has ended. It returns the jobs that have ended
// with this child.
func (s *server) reapChild(pid int) []*job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.leaders[pid]
	if j == nil || j.ending {
		// Perhaps this child is a command whose start has not returned yet, so
		// that its pid is unknown.
		s.mu.Unlock()
		s.waitForStarts()
		s.mu.Lock()
		j = s.leaders[pid]
	}
	leader := j != nil && !j.ending
	if leader && !j.grace {
		unix.Kill(-pid, unix.SIGKILL) // before Wait4, so that the group still belongs to the job
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	if got, err := unix.Wait4(pid, &status, unix.WNOHANG, &usage); err != nil || got != pid {
		return nil // the child was a command that could not start, and ForkExec has reaped it
	}
	if leader {
		s.endLocked(j, status)
		s.addUsage(j, &usage)
	} else if o := s.orphans[pid]; o != nil {
		delete(s.orphans, pid)
		if j := s.jobs[o.job]; j != nil {
			s.addUsage(j, &usage)
			if status.Signaled() && status.Signal() == unix.SIGKILL {
				j.ended.orphans++
			}
		}
	}
	return s.sweepLocked()
}

// waitForStarts waits until the pids of all processes that are being started
// are known.
func (s *server) waitForStarts() {
	s.starts.Lock()
	defer s.starts.Unlock()
}

// endLocked records the end of a command.
func (s *server) endLocked(j *job, status unix.WaitStatus) {
	j.ending = true
	j.ended.number, j.ended.status = j.number, uint64(status)
	if j.canceled {
		j.ended.flags |= wasCanceled
	}
	j.ended.start, j.ended.duration = uint64(j.start.UnixNano()), uint64(time.Since(j.start))
	s.ending = append(s.ending, j)
}

// addUsage adds the processor time and the memory of a process that was reaped.
func (s *server) addUsage(j *job, u *unix.Rusage) {
	j.ended.user += uint64(u.Utime.Nano())
	j.ended.system += uint64(u.Stime.Nano())
	if peak := uint64(u.Maxrss) << 10; peak > s.ownPeak {
		s.ownPeak = ownPeakMemory()
		if peak > s.ownPeak {
			j.ended.peakMemory = max(j.ended.peakMemory, peak)
		}
	}
}

// ownPeakMemory returns nine eighths of the peak memory of this process. The
// kernel also counts the memory of this process as memory of each command that
// this process starts. So the peak memory of a command is only known if it is
// larger than the result. An eighth is added because the kernel counts
// roughly.
func ownPeakMemory() uint64 {
	status, _ := os.ReadFile("/proc/self/status") // Getrusage would also count the memory of the runner
	_, rest, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kib uint64
	fmt.Sscan(string(rest[:min(len(rest), 40)]), &kib)
	return kib << 10 / 8 * 9
}
