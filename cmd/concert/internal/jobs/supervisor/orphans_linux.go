package supervisor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// undecidedTime is the time for which sweep waits for the environment of an
// orphan. A process has no environment while it executes a new program, and
// while it exits. A process that has emptied its environment cannot be
// distinguished from these.
const undecidedTime = 100 * time.Millisecond

// maxUndecidedTime is the time after the grace for which a job waits for the
// environments of all orphans, and for its control group.
const maxUndecidedTime = 10 * undecidedTime

// maxEnviron is the size of the largest environment that is read.
const maxEnviron = 8 << 20

// An orphan is a child of the supervisor that is not a command. If such a
// child was killed, its descendants are orphans, too. Its fields are guarded
// by server.mu.
type orphan struct {
	job       uint64    // the number of its job; 0: it is a stray
	last      uint64    // for a stray: the order of the last job that it may belong to
	since     time.Time // the time at which it was first seen
	undecided bool      // it has had no environment, but not yet for undecidedTime
	asked     bool      // it got SIGTERM, so it has the grace of its job
	killed    bool
	immune    bool // the supervisor may not kill it
}

// sweep calls sweepLocked after a delay.
func (s *server) sweep() {
	s.mu.Lock()
	s.scheduled = false
	done := s.sweepLocked()
	s.mu.Unlock()
	s.handOver(s.report(done))
}

// sweepSoonLocked makes a timer call sweep in a millisecond.
func (s *server) sweepSoonLocked() {
	if !s.scheduled {
		s.scheduled = true
		time.AfterFunc(time.Millisecond, s.sweep)
	}
}

// sweepLocked kills the orphans of jobs that are ending. It returns the jobs
// that have no orphans left. The caller must call it again when an orphan is
// reaped, because the children of this orphan are then orphans.
func (s *server) sweepLocked() (done []*job) {
	if len(s.ending) == 0 && !s.closing {
		return nil
	}
	pids := s.orphanPids()
	if s.closing {
		if len(pids) == 0 { // a child that was made with CLONE_PARENT may be left: it is the child of another thread
			pids = childrenOf(os.Getpid())
		}
		for _, pid := range pids {
			unix.Kill(pid, unix.SIGKILL)
		}
		return nil
	}
	var seen []*orphan
	for _, pid := range pids {
		if j := s.leaders[pid]; j == nil || j.ending {
			seen = append(seen, s.handleOrphanLocked(pid))
		}
	}
	var waiting []*job
	for _, j := range s.ending {
		if s.mustWaitLocked(j, seen) {
			waiting = append(waiting, j)
			continue
		}
		delete(s.jobs, j.number)
		s.releaseGroupLocked(j)
		if j.kill != nil {
			j.kill.Stop()
		}
		if s.leaders[j.pid] == j {
			delete(s.leaders, j.pid)
		}
		if j.next = s.nextLocked(); j.next != nil {
			j.ended.next = j.next.number
		}
		done = append(done, j)
	}
	s.ending = waiting
	if len(waiting) == 0 && len(s.orphans) > len(pids) { // forgets descendants that ended before they became orphans
		maps.DeleteFunc(s.orphans, func(pid int, _ *orphan) bool { return !slices.Contains(pids, pid) })
	}
	return done
}

// handleOrphanLocked decides to which job an orphan belongs, and kills it if
// this job is ending or has ended.
func (s *server) handleOrphanLocked(pid int) *orphan {
	o := s.orphans[pid]
	if o == nil {
		o = &orphan{last: s.last, since: time.Now()}
		s.orphans[pid] = o
	}
	if o.job == 0 {
		var empty bool
		o.job, empty = s.identifyLocked(pid)
		o.undecided = empty && time.Since(o.since) < undecidedTime && s.areRunningLocked(o.last)
	}
	switch {
	case o.undecided:
		s.sweepSoonLocked()
	case o.killed, o.job == 0 && s.areRunningLocked(o.last), s.isRunningLocked(o.job):
	case s.inGraceLocked(o.job):
		if group, _ := unix.Getpgid(pid); !o.asked && group != s.jobs[o.job].pid { // the group has got SIGTERM
			terminate(pid)
		}
		o.asked = true
	default:
		s.inheritLocked(pid, o)
		o.killed = true
		o.immune = unix.Kill(pid, unix.SIGKILL) == unix.EPERM
	}
	return o
}

// inheritLocked records that the descendants of an orphan belong to the same
// job. They will be orphans soon, and then perhaps nothing else shows to which
// job they belong.
func (s *server) inheritLocked(pid int, o *orphan) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		list, _ := os.ReadFile(file)
		for _, child := range parsePids(list) {
			if s.orphans[child] == nil {
				s.orphans[child] = &orphan{job: o.job, last: o.last, since: time.Now()}
				s.inheritLocked(child, o)
			}
		}
	}
}

// mustWaitLocked reports whether a job that is ending has orphans that will
// end soon. If it has no such orphans, mustWaitLocked counts the survivors.
func (s *server) mustWaitLocked(j *job, seen []*orphan) bool {
	j.ended.survivors = 0
	// This limit is needed for a process without an environment that forks and
	// exits again and again, because its child is a new orphan each time.
	limit := maxUndecidedTime
	if j.canceled {
		limit += max(s.grace, 0)
	}
	waits := time.Since(j.start)-time.Duration(j.ended.duration) < limit
	if s.killGroupLocked(j) {
		if waits {
			return true
		}
		j.ended.survivors++
	}
	for _, o := range seen {
		switch {
		case o.job != j.number && (o.job != 0 || o.last < j.order):
			// The job need not wait for an orphan that cannot belong to it.
		case o.immune, o.job == 0 && !o.killed && !(o.undecided && waits):
			j.ended.survivors++
		default:
			return true
		}
	}
	return false
}

// isRunningLocked reports whether a job has not ended.
func (s *server) isRunningLocked(number uint64) bool {
	j := s.jobs[number]
	return j != nil && !j.ending
}

// inGraceLocked reports whether a job was canceled, and its grace has not
// ended.
func (s *server) inGraceLocked(number uint64) bool {
	j := s.jobs[number]
	return j != nil && j.grace
}

// areRunningLocked reports whether a job with at most this order has not ended.
func (s *server) areRunningLocked(last uint64) bool {
	for _, j := range s.jobs {
		if j.order <= last && !j.ending {
			return true
		}
	}
	return false
}

// identifyLocked returns the number of the job of an orphan, or 0. The result
// empty is whether the process has no environment.
func (s *server) identifyLocked(pid int) (number uint64, empty bool) {
	if j := s.ofGroupLocked(pid); j != nil {
		return j.number, false
	}
	if group, err := unix.Getpgid(pid); err == nil {
		if j := s.leaders[group]; j != nil {
			return j.number, false
		}
	}
	value, empty := jobOf(pid)
	return jobNumber(value, s.run), empty
}

// jobOf returns the value of jobVariable in the environment of a process. The
// result empty is whether the environment is empty, or cannot be read because
// the process executes a program or exits. An empty environment may change
// soon.
func jobOf(pid int) (value []byte, empty bool) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return nil, !errors.Is(err, fs.ErrPermission)
	}
	defer f.Close()
	env, err := io.ReadAll(io.LimitReader(f, maxEnviron))
	if err != nil {
		return nil, true
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(jobVariable+"=")); ok {
			return value, false
		}
	}
	return nil, len(env) == 0
}

// jobNumber finds the job of a run in a value of jobVariable. It returns the
// number of the job, or 0. In a run within a job, the value has the names of
// the outer and the inner job.
func jobNumber(value []byte, run string) uint64 {
	for part := range bytes.SplitSeq(value, []byte("/")) {
		if name, rest, ok := bytes.Cut(part, []byte(".")); ok && string(name) == run {
			if number, err := strconv.ParseUint(string(rest), 10, 63); err == nil {
				return number
			}
		}
	}
	return 0
}

// openChildren opens the file that lists the children of the first thread. It
// returns -1 if the kernel has no such file.
func openChildren() int {
	pid := os.Getpid()
	fd, err := unix.Open(fmt.Sprintf("/proc/self/task/%d/children", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// orphanPids returns the children of the first thread, which are the orphans.
// On some kernels it also returns other children. A child that has ended is
// included until it is reaped.
func (s *server) orphanPids() []int {
	if s.children < 0 {
		return childrenOf(os.Getpid())
	}
	var list []byte
	var buf [4096]byte
	for {
		n, err := unix.Pread(s.children, buf[:], int64(len(list)))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return childrenOf(os.Getpid())
		case n == 0 && len(list) == 0:
			return nil
		case n == 0:
			return parsePids(list)
		}
		list = append(list, buf[:n]...)
	}
}

func parsePids(list []byte) (pids []int) {
	for field := range bytes.FieldsSeq(list) {
		if pid, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// childrenOf returns the children of a process. It reads the status of each
// process of the system.
func childrenOf(parent int) (pids []int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		// The state and the parent follow the name, which is in parentheses.
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
