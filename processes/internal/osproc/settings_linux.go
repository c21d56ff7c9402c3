package osproc

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Settings are those settings of this process that its workers get. The pool
// reads them once, so later changes in this process have no effect on
// workers.
type Settings struct {
	mask     int // mask for the modes of new files (umask); negative if unknown
	limits   limits
	schedule schedule
}

// CurrentSettings returns the present settings of this process.
func CurrentSettings() *Settings {
	return &Settings{mask: currentMask(), limits: currentLimits(), schedule: currentSchedule()}
}

// currentMask returns the mask for the modes of new files, or -1 if it is
// unknown. It reads a file, because the system call umask would set the mask.
func currentMask() int {
	// /proc/self would show the mask of the first thread of this process. This
	// thread may be the starter, whose mask may be another one.
	f, err := os.Open("/proc/thread-self/status")
	if err != nil {
		return -1
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "Umask:"); ok {
			if mask, err := strconv.ParseInt(strings.TrimSpace(text), 8, 32); err == nil {
				return int(mask)
			}
		}
	}
	return -1
}

// limits are the resource limits of this process.
type limits [unix.RLIMIT_RTTIME + 1]unix.Rlimit

func currentLimits() (l limits) {
	for resource := range l {
		unix.Getrlimit(resource, &l[resource]) // if the limit is unknown, it stays zero, and apply ignores it
	}
	return l
}

// apply sets the limits of a process that this process has just started. It
// ignores limits that the system does not allow.
func (l *limits) apply(p *os.Process) {
	now := currentLimits()
	for resource := range l {
		if l[resource] != now[resource] {
			unix.Prlimit(p.Pid, resource, &l[resource], nil)
		}
	}
}

// RestoreStackLimit sets the stack limit of a running process again. At the
// end of the system call exec, the kernel sets this limit to the value that
// it had at the beginning of exec. So if Start sets the limit during exec,
// the kernel later replaces it by the old value.
func (s *Settings) RestoreStackLimit(p *os.Process) {
	l := &s.limits
	var now unix.Rlimit
	if unix.Prlimit(p.Pid, unix.RLIMIT_STACK, nil, &now) == nil && now != l[unix.RLIMIT_STACK] {
		unix.Prlimit(p.Pid, unix.RLIMIT_STACK, &l[unix.RLIMIT_STACK], nil)
	}
}

// schedule is the processors and the priority of a worker, and its score for
// the out-of-memory killer. A process inherits the processors and the priority
// from the thread that starts it, and the score from the process that starts
// it.
type schedule struct {
	cpus     unix.CPUSet
	knowCPUs bool
	nice     int
	knowNice bool
	oomScore string // the text of ownOOMScore; empty if unknown
}

const ownOOMScore = "/proc/self/oom_score_adj"

// currentSchedule returns the present schedule of this process.
func currentSchedule() (s schedule) {
	onStarter(func() { s.cpus, s.knowCPUs, s.nice, s.knowNice = threadSchedule() })
	score, _ := os.ReadFile(ownOOMScore)
	s.oomScore = string(score)
	return s
}

// threadSchedule returns the processors and the priority of the calling thread.
func threadSchedule() (cpus unix.CPUSet, knowCPUs bool, nice int, knowNice bool) {
	knowCPUs = unix.SchedGetaffinity(0, &cpus) == nil
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	return cpus, knowCPUs, 20 - n, err == nil // the system call returns 20 minus the priority
}

// applyToThread sets the processors and the priority of the calling thread. It
// ignores settings that the system does not allow.
func (s *schedule) applyToThread() {
	cpus, knowCPUs, nice, knowNice := threadSchedule()
	if s.knowCPUs && knowCPUs && cpus != s.cpus {
		unix.SchedSetaffinity(0, &s.cpus)
	}
	if s.knowNice && knowNice && nice != s.nice {
		unix.Setpriority(unix.PRIO_PROCESS, 0, s.nice)
	}
}

// applyOOMScore sets the score of a process that has just been started.
func (s *schedule) applyOOMScore(p *os.Process) {
	now, err := os.ReadFile(ownOOMScore)
	if err == nil && s.oomScore != "" && string(now) != s.oomScore {
		os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.Pid), []byte(s.oomScore), 0)
	}
}
