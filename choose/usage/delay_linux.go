package usage

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// delayWatch measures the run-queue delay and the CPU time of a process and its
// descendants while they run. When a process ends, the kernel removes its
// counters without adding them to those of its parent. So delayWatch reads the
// counters of all threads repeatedly.
//
//	process ---- waits for its child ------------------>
//	  child      |-- computes --|-- no processor --|-- computes --|
//	reads        ^         ^         ^         ^         ^         ^
//
// The delay in the time between two reads is the longest delay of a thread in
// this time. The sum of all threads would be too high for threads that wait at
// the same time. The delay since the last read of a process that has ended is
// lost. The CPU time is the sum of all threads. It is less than that of wait4,
// but it includes children that were killed together with their parent.
type delayWatch struct {
	root  int                 // the process
	seen  map[int]threadTimes // the times of each thread at the last read, by thread ID
	total time.Duration
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended
}

// threadTimes has the times of a thread since its start.
type threadTimes struct{ cpu, delay time.Duration }

// How often delayWatch reads the counters. The interval is a part of the time
// that has passed, so that a script with short children is read more often.
const (
	minWatchInterval  = time.Millisecond
	maxWatchInterval  = 10 * time.Millisecond
	watchIntervalPart = 20
)

// watchDelay starts to measure.
func watchDelay(pid int) *delayWatch {
	w := &delayWatch{root: pid, seen: map[int]threadTimes{}, stop: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w
}

func (w *delayWatch) run() {
	defer close(w.ended)
	for begin := time.Now(); ; {
		interval := time.Since(begin) / watchIntervalPart
		select {
		case <-time.After(max(minWatchInterval, min(interval, maxWatchInterval))):
			w.total += w.read(w.root)
		case <-w.stop:
			return
		}
	}
}

// close ends the measurement, and returns the delay and the CPU time. Call it
// before the process is reaped, because another process may then get its ID.
func (w *delayWatch) close() (delay, cpu time.Duration) {
	close(w.stop)
	<-w.ended
	for _, t := range w.seen {
		cpu += t.cpu
	}
	return w.total, cpu
}

// read returns the longest delay of a thread since the last read, among the
// threads of a process and of its descendants.
func (w *delayWatch) read(pid int) (longest time.Duration) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return 0 // the process has ended
	}
	for _, thread := range threads {
		var tid int
		if _, err := fmt.Sscan(thread.Name(), &tid); err != nil {
			continue
		}
		dir := fmt.Sprintf("/proc/%d/task/%d/", pid, tid)
		if cpu, delay, err := schedTimes(dir+"schedstat", os.ReadFile); err == nil {
			longest = max(longest, delay-w.seen[tid].delay)
			w.seen[tid] = threadTimes{cpu, delay}
		}
		children, err := os.ReadFile(dir + "children")
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(children)) {
			var id int
			if _, err := fmt.Sscan(child, &id); err == nil {
				longest = max(longest, w.read(id))
			}
		}
	}
	return longest
}
