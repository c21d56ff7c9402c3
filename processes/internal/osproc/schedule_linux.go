package osproc

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// schedule decides when the system runs a worker, and whether the system kills
// it first when memory is short. A process inherits the processors and the
// priority from the thread that starts it, and the score from the process.
type schedule struct {
	cpus     unix.CPUSet
	knowCPUs bool
	nice     int
	knowNice bool
	oomScore string // as in /proc; empty if unknown
}

const ownOOMScore = "/proc/self/oom_score_adj"

// currentSchedule returns the schedule of a worker that would start now.
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
	return cpus, knowCPUs, 20 - n, err == nil // the system call returns 20 less the priority
}

// applyToThread sets the processors and the priority of the calling thread, as
// far as the system allows it.
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
