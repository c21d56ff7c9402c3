package usage

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meter reads the clocks and counters of the calling thread before and after
// the work. The caller must have locked its goroutine to the thread.
//
// The kernel provides per thread: CPU time, getrusage, schedstat (if it has
// CONFIG_SCHED_INFO) and io (if it has CONFIG_TASK_IO_ACCOUNTING). It provides
// peak memory only for the whole process. Writing to clear_refs resets the
// peak.
type meter struct {
	begin, end counters
	schedstat  int                 // file descriptor, kept open so that a read is fast; -1 if there is none
	own        int64               // the number of bytes that the meter itself has read
	missing    map[Quantity]string // the reason why a quantity is missing
	resident   int64               // the resident memory before the work, in bytes
}

const schedstat = "/proc/thread-self/schedstat"

type counters struct {
	instant
	read, written int64
	own           int64 // the bytes that the meter itself has read; they are included in read
	voluntary     int64
	forced        int64
}

// instant has the clocks and the run-queue delay at one moment.
type instant struct {
	wall            time.Time
	thread, process time.Duration // the CPU time of the thread and of the process
	children        time.Duration // the CPU time of child processes that have ended
	delay           time.Duration
}

func newMeter() *meter {
	m := &meter{missing: map[Quantity]string{}}
	var err error
	if m.schedstat, err = unix.Open(schedstat, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		m.missing[RunDelay] = (&os.PathError{Op: "open", Path: schedstat, Err: err}).Error()
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		m.missing[PeakMemory] = err.Error()
	} else if m.resident, err = statusBytes("/proc/self/status", "VmRSS"); err != nil {
		m.missing[PeakMemory] = err.Error()
	}
	m.files(&m.begin)
	m.begin.instant = instantOf(m.clocks, m.delay)
	return m
}

// stop returns what the work used since newMeter, and the CPU time of the
// thread.
func (m *meter) stop() (used Usage, thread time.Duration) {
	m.end.instant = m.clocks()
	later := instantOf(m.clocks, m.delay)
	m.files(&m.end)
	if m.schedstat >= 0 {
		unix.Close(m.schedstat)
	}
	thread = m.end.thread - m.begin.thread
	used = Usage{
		Wall:     m.end.wall.Sub(m.begin.wall),
		CPU:      thread,
		RunDelay: m.begin.delayUntil(m.end.instant, later),
		Read:     m.end.read - m.begin.read - (m.end.own - m.begin.own),
		Written:  m.end.written - m.begin.written,
		Switches: m.end.voluntary - m.begin.voluntary,
		Forced:   m.end.forced - m.begin.forced,
	}
	from := "CLOCK_THREAD_CPUTIME_ID"
	// The clocks are not read at the same moment, so a small difference between
	// them does not count.
	if all := m.end.process - m.begin.process; all > used.CPU+used.CPU/10+100*time.Microsecond {
		used.CPU, from = all, "CLOCK_PROCESS_CPUTIME_ID: the process used more than the thread"
	}
	// Work that runs commands uses their CPU time. The run-queue delay of the
	// commands is not known.
	if children := m.end.children - m.begin.children; children > 0 {
		used.CPU += children
		from += ", and getrusage(RUSAGE_CHILDREN)"
	}
	if m.missing[PeakMemory] == "" {
		peak, err := statusBytes("/proc/self/status", "VmHWM")
		if err != nil {
			m.missing[PeakMemory] = err.Error()
		}
		used.Memory = max(0, peak-m.resident)
	}
	for _, s := range []Source{
		{CPUTime, from, ""},
		{RunDelay, schedstat, ""},
		{Bytes, "/proc/thread-self/io", ""},
		{PeakMemory, "VmHWM of /proc/self/status, its increase", ""},
		{Switches, "getrusage(RUSAGE_THREAD)", ""},
	} {
		if why := m.missing[s.What]; why != "" {
			used.addMissing(s.What, why)
		} else {
			used.addSource(s.What, s.From, "")
		}
	}
	return used, thread
}

// instantOf reads the clocks and the run-queue delay of one moment. On a busy
// machine the thread may lose its processor between reading the clocks and
// reading the delay. The lost time would count as part of the work. So
// instantOf reads the delay before and after the clocks. It repeats all reads
// until the two delays are equal, at most ten times.
func instantOf(clocks func() instant, delay func() time.Duration) (now instant) {
	after := delay()
	for range 10 {
		before := after
		now, after = clocks(), delay()
		if now.delay = after; before == after {
			break
		}
	}
	return now
}

// delayUntil returns the run-queue delay between the instants i and end. At
// the end, only the clocks were read. So delayUntil uses the delay of a
// later instant, and subtracts the delay since the end. In this time the
// thread only read clocks. So all elapsed time that is not CPU time was
// run-queue delay.
func (i instant) delayUntil(end, later instant) time.Duration {
	reading := later.wall.Sub(end.wall) - (later.thread - end.thread)
	return max(0, later.delay-i.delay-max(0, reading))
}

// files reads the counters that the kernel offers as files, and the counters of
// getrusage. Reading a file takes longer than reading a clock. So this method
// is called before the clocks are read for the first time, and after they are
// read for the last time.
func (m *meter) files(c *counters) {
	var err error
	c.own = m.own // the kernel counts a read only after it has returned
	if c.read, c.written, err = ioBytes("/proc/thread-self/io", m.readFile); err != nil {
		m.missing[Bytes] = err.Error()
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		m.missing[Switches] = os.NewSyscallError("getrusage", err).Error()
	}
	c.voluntary, c.forced = int64(usage.Nvcsw), int64(usage.Nivcsw)
}

// readFile calls os.ReadFile, and adds to m.own the number of bytes that were
// read.
func (m *meter) readFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	m.own += int64(len(b))
	return b, err
}

// clocks reads the clocks. It is called immediately before and after the work.
func (m *meter) clocks() (now instant) {
	var err error
	if now.thread, err = cpuClock(unix.CLOCK_THREAD_CPUTIME_ID); err != nil {
		m.missing[CPUTime] = err.Error()
	}
	if now.process, err = cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID); err != nil {
		m.missing[CPUTime] = err.Error()
	}
	var ended unix.Rusage
	if err = unix.Getrusage(unix.RUSAGE_CHILDREN, &ended); err != nil {
		m.missing[CPUTime] = os.NewSyscallError("getrusage", err).Error()
	}
	now.children = time.Duration(ended.Utime.Nano() + ended.Stime.Nano())
	now.wall = time.Now()
	return now
}

func (m *meter) delay() time.Duration {
	if m.schedstat < 0 {
		return 0
	}
	d, err := runDelay(schedstat, func(file string) ([]byte, error) {
		b := make([]byte, 100)
		n, err := unix.Pread(m.schedstat, b, 0)
		if err != nil {
			return nil, &os.PathError{Op: "pread", Path: file, Err: err}
		}
		m.own += int64(n)
		return b[:n], nil
	})
	if err != nil {
		m.missing[RunDelay] = err.Error()
	}
	return d
}

func cpuClock(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

// runDelay returns the second number of a schedstat file: the nanoseconds spent
// on a run queue.
func runDelay(file string, readFile func(string) ([]byte, error)) (time.Duration, error) {
	_, delay, err := schedTimes(file, readFile)
	return delay, err
}

// schedTimes returns the first two numbers of a schedstat file: the nanoseconds
// of CPU time, and those spent on a run queue.
func schedTimes(file string, readFile func(string) ([]byte, error)) (cpu, delay time.Duration, err error) {
	b, err := readFile(file)
	if err != nil {
		return 0, 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) != 3 {
		return 0, 0, fmt.Errorf("%s has an unknown format: %q", file, b)
	}
	var times [2]int64
	for i := range times {
		if times[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return 0, 0, fmt.Errorf("%s: %w", file, err)
		}
	}
	if fields[0] == "0" && fields[2] == "0" {
		return 0, 0, fmt.Errorf("%s: the kernel does not count the run-queue delay", file)
	}
	return time.Duration(times[0]), time.Duration(times[1]), nil
}

// ioBytes returns the entries rchar and wchar of an io file: the bytes of all
// system calls that read, and of all that write.
func ioBytes(file string, readFile func(string) ([]byte, error)) (read, written int64, err error) {
	b, err := readFile(file)
	if err != nil {
		return 0, 0, err
	}
	if read, err = field(file, b, "rchar"); err != nil {
		return 0, 0, err
	}
	written, err = field(file, b, "wchar")
	return read, written, err
}

// statusBytes returns an entry of a status file in bytes. The file has the
// entry in kB.
func statusBytes(file, name string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := field(file, b, name)
	return n << 10, err
}

// field returns the number in the line "name: number" of a file.
func field(file string, text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), name+":"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return strconv.ParseInt(fields[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s has no entry %s", file, name)
}
