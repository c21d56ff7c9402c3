package dashboard

import (
	"cmp"
	"os"
	"slices"
	"time"
)

// usage is the processor time and the memory that a process uses.
type usage struct {
	CPU    float64 `json:"cpu"`    // in percent of one processor, between the last two calls of look
	Memory int64   `json:"memory"` // resident memory in bytes
}

// processUsage is the usage of the process of a worker.
type processUsage struct {
	Worker int `json:"worker"`
	Pid    int `json:"pid"`
	usage
}

// meter measures the use of one process.
type meter struct {
	at  time.Time
	cpu time.Duration
	is  usage
}

// look reads the usage of the process. It reports false if the usage is
// unknown.
func (m *meter) look(pid int, now time.Time) bool {
	cpu, memory, ok := readProcess(pid)
	if !ok {
		return false
	}
	if took := now.Sub(m.at); !m.at.IsZero() && took > 0 {
		m.is.CPU = round1(100 * max(0, (cpu-m.cpu).Seconds()) / took.Seconds())
	}
	m.at, m.cpu, m.is.Memory = now, cpu, memory
	return true
}

// ownProcess measures this process.
type ownProcess struct{ meter meter }

// usage returns what this process uses, or nil if that is unknown.
func (o *ownProcess) usage(now time.Time) *usage {
	if !o.meter.look(os.Getpid(), now) {
		return nil
	}
	u := o.meter.is
	return &u
}

// hasProcesses is a Source whose workers are processes of this machine.
type hasProcesses interface{ WorkerProcesses() map[int]int }

const (
	maxProcesses = 128             // the maximum number of workers whose processes are read
	lookInterval = 2 * time.Second // reading a process takes about 20 us
)

// processTimes measures the processes of the workers of a source.
type processTimes struct {
	meters map[int]*meter // by process id
	looked time.Time
	rows   []processUsage
}

// of returns the usage of the processes of the workers. The result is empty if
// the source has no processes, and on systems other than Linux.
func (p *processTimes) of(s Source, now time.Time) []processUsage {
	has, ok := s.(hasProcesses)
	if !ok || now.Sub(p.looked) < lookInterval {
		return p.rows
	}
	p.looked = now
	pids := has.WorkerProcesses()
	meters := make(map[int]*meter, len(pids))
	var rows []processUsage
	for worker, pid := range pids {
		m := p.meters[pid]
		if m == nil {
			m = &meter{}
		}
		if len(meters) < maxProcesses && m.look(pid, now) {
			meters[pid] = m
			rows = append(rows, processUsage{worker, pid, m.is})
		}
	}
	slices.SortFunc(rows, func(a, b processUsage) int { return cmp.Compare(a.Worker, b.Worker) })
	p.meters, p.rows = meters, rows
	return rows
}
