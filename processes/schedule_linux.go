package processes

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// schedule is what decides when the system runs a worker, and whether it kills
// it first when memory is short. A process inherits the processors and the
// priority from the thread that starts it, which is the starter's, and the rest
// from the process.
type schedule struct {
	cpus     unix.CPUSet
	knowCPUs bool
	nice     int
	knowNice bool
	oomScore string // as /proc has it; empty if unknown
}

const ownOOMScore = "/proc/self/oom_score_adj"

// currentSchedule returns what a worker would have that starts now.
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

// setThread gives the calling thread the processors and the priority, where
// they differ and the system lets it.
func (s *schedule) setThread() {
	cpus, knowCPUs, nice, knowNice := threadSchedule()
	if s.knowCPUs && knowCPUs && cpus != s.cpus {
		unix.SchedSetaffinity(0, &s.cpus)
	}
	if s.knowNice && knowNice && nice != s.nice {
		unix.Setpriority(unix.PRIO_PROCESS, 0, s.nice)
	}
}

// give gives a process that has just been started the rest.
func (s *schedule) give(p *os.Process) {
	now, err := os.ReadFile(ownOOMScore)
	if err == nil && s.oomScore != "" && string(now) != s.oomScore {
		os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.Pid), []byte(s.oomScore), 0)
	}
}
