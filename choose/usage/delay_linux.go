package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// delayWatch measures the run-queue delay and the CPU time of a process and its
// descendants while they run. When a process ends, the kernel removes its
// counters without adding them to the counters of its parent. So delayWatch
// reads the counters of all threads repeatedly.
//
//	process ---- waits for its child ------------------>
//	  child      |-- computes --|-- no processor --|-- computes --|
//	reads        ^         ^         ^         ^         ^         ^
//
// The delay in the time between two reads is the mean of the delays of all
// threads in this time. Each delay is weighted by the time in which its thread
// was ready to run, so threads that wait do not count:
//
//   - If one thread computes, the mean is the delay of this thread.
//   - If two threads share one processor, each has the processor half of the
//     time. On an idle machine, both would end after half of the time. The mean
//     is half of the time. The sum or the maximum would be all of it.
//
// When a descendant ends, its delay since the last read is lost. On a busy
// machine, this can be long, because the reads are late as well. So the delay
// of descendants is extrapolated from the last read to the end of the process.
// The CPU time is the sum of all threads. It is less than the time that wait4
// returns, but it includes children that were killed together with their
// parent.
type delayWatch struct {
	root  int                 // the process
	proc  string              // the directory of the processes; tests change it
	seen  map[int]threadTimes // the times of each thread at the last read, by thread ID
	begin time.Time
	last  time.Duration // the time of the last read, since begin
	total watched
	stop  chan struct{}
	ended chan struct{} // closed when the goroutine has ended
}

// threadTimes has the times of a thread since its start.
type threadTimes struct{ cpu, delay time.Duration }

// watched is what delayWatch has measured.
type watched struct {
	delay time.Duration
	cpu   time.Duration // of all threads
	// descendants is a part of delay. It is from the intervals in which
	// descendants of the process were ready to run for longer than the
	// process itself.
	descendants time.Duration
	// least is the time that the process would take on an idle machine if it
	// never waited: the CPU time, divided by the number of threads that were
	// ready to run at the same time.
	least time.Duration
}

// How often delayWatch reads the counters. The interval is a fraction of the
// time that has passed. So the counters of a short script with short
// children are read more often.
const (
	minWatchInterval  = time.Millisecond
	maxWatchInterval  = 10 * time.Millisecond
	watchIntervalPart = 20
)

func watchDelay(pid int) *delayWatch {
	w := newWatch("/proc", pid)
	go w.run()
	return w
}

func newWatch(proc string, pid int) *delayWatch {
	return &delayWatch{root: pid, proc: proc, seen: map[int]threadTimes{}, begin: time.Now(), stop: make(chan struct{}), ended: make(chan struct{})}
}

func (w *delayWatch) run() {
	defer close(w.ended)
	for {
		interval := time.Since(w.begin) / watchIntervalPart
		select {
		case <-time.After(max(minWatchInterval, min(interval, maxWatchInterval))):
			w.last = time.Since(w.begin)
			w.readAll()
		case <-w.stop:
			return
		}
	}
}

// close ends the measurement, and returns its result. The parameter is the
// delay of the main thread of the process. Call close before the process is
// reaped, because another process may then get its ID.
func (w *delayWatch) close(root time.Duration) watched {
	took := time.Since(w.begin)
	close(w.stop)
	<-w.ended
	w.extrapolate(took, root)
	return w.total
}

// extrapolate adds the delay from the last read to the end of the process.
// The parameter took is the time from the start to the end of the process.
// The parameter root is the delay of its main thread at the end. The delay
// of descendants after the last read is not known. extrapolate assumes the
// same share of the time as before, or 0 if the reads cover less than half
// of the time. If the delay of the main thread after the last read was
// longer, it counts instead. For example, a process that was killed can wait
// long for a processor.
func (w *delayWatch) extrapolate(took, root time.Duration) {
	var lost time.Duration
	if rest := took - w.last; rest > 0 && rest < w.last {
		lost = time.Duration(float64(rest) / float64(w.last) * float64(w.total.descendants))
	}
	w.total.delay += max(lost, root-w.seen[w.root].delay)
}

// interval has the times of all threads between two reads, in seconds. A thread
// is ready while it runs, and while it has no processor.
type interval struct {
	cpu, ready float64 // sums
	root       float64 // the part of ready that belongs to the process itself
	squares    float64 // the sum of the squares of the times in which threads were ready
	delays     float64 // the sum of the delays, each multiplied by the time in which the thread was ready
}

// readAll reads the counters of the process and of its descendants.
func (w *delayWatch) readAll() {
	var i interval
	w.read(w.root, &i)
	if i.ready == 0 {
		return
	}
	threads := i.ready * i.ready / i.squares // the number of threads, if all were ready for the same time
	delay := time.Duration(i.delays / i.ready * float64(time.Second))
	w.total.delay += delay
	if i.root < i.ready/2 {
		w.total.descendants += delay
	}
	w.total.least += time.Duration(i.cpu / threads * float64(time.Second))
}

// read reads the counters of a process and of its descendants, and adds the
// times since the last read.
func (w *delayWatch) read(pid int, sum *interval) {
	threads, err := os.ReadDir(fmt.Sprintf("%s/%d/task", w.proc, pid))
	if err != nil {
		return // the process has ended
	}
	for _, thread := range threads {
		tid, err := strconv.Atoi(thread.Name())
		if err != nil {
			continue
		}
		dir := fmt.Sprintf("%s/%d/task/%d/", w.proc, pid, tid)
		if cpu, delay, err := schedTimes(dir+"schedstat", os.ReadFile); err == nil {
			ready := w.add(tid, threadTimes{cpu, delay}, sum)
			if pid == w.root {
				sum.root += ready
			}
		}
		children, err := os.ReadFile(dir + "children")
		if err != nil {
			continue
		}
		for _, child := range strings.Fields(string(children)) {
			// The child may have ended after its ID was read, and another
			// process may have the ID.
			if id, err := strconv.Atoi(child); err == nil && w.isChild(id, pid) {
				w.read(id, sum)
			}
		}
	}
}

// add adds the times of a thread since its last read, and returns the time
// for which the thread was ready to run, in seconds. If the times are less
// than at the last read, the thread has ended, and a new thread has its ID.
func (w *delayWatch) add(tid int, now threadTimes, sum *interval) (ready float64) {
	before := w.seen[tid]
	if now.cpu < before.cpu || now.delay < before.delay {
		before = threadTimes{}
	}
	w.seen[tid] = now
	cpu, delay := now.cpu-before.cpu, now.delay-before.delay
	w.total.cpu += cpu
	ready = (cpu + delay).Seconds()
	sum.cpu += cpu.Seconds()
	sum.ready += ready
	sum.squares += ready * ready
	sum.delays += ready * delay.Seconds()
	return ready
}

// isChild reports whether a process is a child of another process.
func (w *delayWatch) isChild(pid, parent int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("%s/%d/stat", w.proc, pid))
	if err != nil {
		return false
	}
	// The format is "PID (NAME) STATE PARENT ...". A name may contain spaces
	// and parentheses.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return len(fields) > 1 && string(fields[1]) == strconv.Itoa(parent)
}
