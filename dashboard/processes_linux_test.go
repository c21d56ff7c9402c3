package dashboard

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"concert"
)

// source has processes, and nothing else.
type source map[int]int

func (source) Stats() concert.Stats           { return concert.Stats{} }
func (s source) WorkerProcesses() map[int]int { return s }

// TestProcessTimes: a source must have the use of the processes of its
// workers, but not of ended processes. The processes must be read at
// intervals.
func TestProcessTimes(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Run(); err != nil {
		t.Fatal(err)
	}
	s := source{4: os.Getpid(), 2: os.Getppid(), 3: ended.Process.Pid}
	var p processTimes
	now := time.Now()
	rows := p.of(s, now)
	if len(rows) != 2 || rows[0].Worker != 2 || rows[1].Worker != 4 || rows[1].Pid != os.Getpid() {
		t.Fatalf("the processes are %+v", rows)
	}
	if m := rows[1].Memory; m < 1<<20 || m > 1<<40 {
		t.Errorf("this process has %d bytes", m)
	}
	for begin := processorNow(t); processorNow(t) < begin+100*time.Millisecond; { // use the processor
	}
	if again := p.of(s, now.Add(lookInterval/2)); again[1].CPU != 0 {
		t.Errorf("the processes were read again: %+v", again)
	}
	rows = p.of(s, now.Add(lookInterval))
	if cpu := rows[1].CPU; cpu < 5 {
		t.Errorf("after 100 ms of processor time in %v, the use is %v%%", lookInterval, cpu)
	}
}

func processorNow(t *testing.T) time.Duration {
	cpu, _, ok := readProcess(os.Getpid())
	if !ok {
		t.Fatal("the use of this process is unknown")
	}
	return cpu
}
