package choose

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// meter reads the clocks and counters of the calling thread, which has to be
// locked, twice.
//
// Each is taken from where the kernel keeps it for a thread: its CPU clock,
// getrusage, schedstat (which a kernel without CONFIG_SCHED_INFO lacks) and io
// (CONFIG_TASK_IO_ACCOUNTING). Peak memory is the whole process's, made to
// start anew by writing to clear_refs.
type meter struct {
	begin, end counters
	schedstat  int                 // file descriptor, open so that reading it takes little time; -1 if there is none
	own        int64               // bytes that reading them has read
	missing    map[Quantity]string // why
	resident   int64               // bytes, at the beginning
}

const schedstat = "/proc/thread-self/schedstat"

type counters struct {
	instant
	read, written int64
	own           int64 // of read
	voluntary     int64
	forced        int64
}

// instant is what the clocks said at one instant.
type instant struct {
	wall            time.Time
	thread, process time.Duration // CPU time
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

// stop returns what was used since newMeter.
func (m *meter) stop() Usage {
	m.end.instant = m.clocks()
	later := instantOf(m.clocks, m.delay)
	m.files(&m.end)
	if m.schedstat >= 0 {
		unix.Close(m.schedstat)
	}
	used := Usage{
		Wall:     m.end.wall.Sub(m.begin.wall),
		CPU:      m.end.thread - m.begin.thread,
		RunDelay: m.begin.delayUntil(m.end.instant, later),
		Read:     m.end.read - m.begin.read - (m.end.own - m.begin.own),
		Written:  m.end.written - m.begin.written,
		Switches: m.end.voluntary - m.begin.voluntary,
		Forced:   m.end.forced - m.begin.forced,
	}
	from := "CLOCK_THREAD_CPUTIME_ID"
	// The clocks are read one after the other: a difference that the reading
	// makes is none.
	if all := m.end.process - m.begin.process; all > used.CPU+used.CPU/10+100*time.Microsecond {
		used.CPU, from = all, "CLOCK_PROCESS_CPUTIME_ID: more than its thread computed"
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
		{PeakMemory, "VmHWM of /proc/self/status, what it grew by", ""},
		{Switches, "getrusage(RUSAGE_THREAD)", ""},
	} {
		if why := m.missing[s.What]; why != "" {
			used.missing(s.What, why)
		} else {
			used.from(s.What, s.From, "")
		}
	}
	return used
}

// instantOf reads the clocks and the run-queue delay until both are of one
// instant: the delay was the same before and after the clocks were read. On a
// busy machine the thread may lose its processor between the two, and a delay
// that is not part of the work would count as one. It tries ten times.
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

// delayUntil returns the run-queue delay from an instant to the end of the
// work, where only the clocks were read. The delay was read later, when the
// thread had done nothing but reading: between the two it had a processor or
// waited for one.
func (i instant) delayUntil(end, later instant) time.Duration {
	reading := later.wall.Sub(end.wall) - (later.thread - end.thread)
	return max(0, later.delay-i.delay-max(0, reading))
}

// files reads what takes long to read.
func (m *meter) files(c *counters) {
	var err error
	c.own = m.own // the counters of a read are raised when it has ended
	if c.read, c.written, err = ioBytes("/proc/thread-self/io", m.readFile); err != nil {
		m.missing[Bytes] = err.Error()
	}
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
		m.missing[Switches] = os.NewSyscallError("getrusage", err).Error()
	}
	c.voluntary, c.forced = int64(usage.Nvcsw), int64(usage.Nivcsw)
}

// readFile is os.ReadFile, which counts what it reads.
func (m *meter) readFile(name string) ([]byte, error) {
	b, err := os.ReadFile(name)
	m.own += int64(len(b))
	return b, err
}

// clocks reads the clocks, next to the work.
func (m *meter) clocks() (now instant) {
	var err error
	if now.thread, err = cpuClock(unix.CLOCK_THREAD_CPUTIME_ID); err != nil {
		m.missing[CPUTime] = err.Error()
	}
	if now.process, err = cpuClock(unix.CLOCK_PROCESS_CPUTIME_ID); err != nil {
		m.missing[CPUTime] = err.Error()
	}
	now.wall = time.Now()
	return now
}

// delay reads the run-queue delay.
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

// runDelay reads the second number of a schedstat: the nanoseconds spent
// waiting on a run queue.
func runDelay(file string, readFile func(string) ([]byte, error)) (time.Duration, error) {
	b, err := readFile(file)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) != 3 {
		return 0, fmt.Errorf("%s: %q", file, b)
	}
	n, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	if fields[0] == "0" && fields[2] == "0" {
		return 0, fmt.Errorf("%s: the kernel keeps no such times", file)
	}
	return time.Duration(n), nil
}

// ioBytes reads rchar and wchar of an io file: the bytes of read and write
// calls, wherever from.
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

// statusBytes reads an entry of a status file, which is in kB.
func statusBytes(file, name string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	n, err := field(file, b, name)
	return n << 10, err
}

// field finds "name: number" among the lines of a file.
func field(file string, text []byte, name string) (int64, error) {
	for line := range bytes.Lines(text) {
		if rest, ok := strings.CutPrefix(string(line), name+":"); ok {
			if fields := strings.Fields(rest); len(fields) > 0 {
				return strconv.ParseInt(fields[0], 10, 64)
			}
		}
	}
	return 0, fmt.Errorf("%s: no %s", file, name)
}
