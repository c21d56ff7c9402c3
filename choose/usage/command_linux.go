package usage

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concert/internal/units"
)

// threadDelay returns the run-queue delay of this thread until now, or 0 if it
// is unknown.
func threadDelay() time.Duration {
	delay, err := runDelay(schedstat, os.ReadFile)
	if err != nil {
		return 0
	}
	return delay
}

// waitExited waits until a child has exited. Then it reads counters of the
// child, before the child is reaped and the kernel removes these counters.
//
// The parameters begin and before are the time, and the result of
// threadDelay, before the child was started. While this thread starts the
// child, and after the child has exited, this thread may have no processor.
// This delay is not a wait of the child.
//
// The result least is the time in which an idle machine would provide
// used.CPU.
func waitExited(pid int, begin time.Time, before time.Duration) (used Usage, least time.Duration) {
	watch := watchDelay(pid)
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	used.Wall = time.Since(begin)
	own := threadDelay() - before
	dir := fmt.Sprintf("/proc/%d/", pid)
	root, err := runDelay(dir+"schedstat", os.ReadFile)
	watched := watch.close(root)
	used.CPU = watched.cpu
	if err != nil {
		used.addMissing(RunDelay, err.Error())
	} else {
		used.RunDelay = max(root, watched.delay) + own
		used.addSource(RunDelay, "/proc/PID/task/TID/schedstat", "of all threads and children, read every 1 to 10 ms")
	}
	if used.Read, used.Written, err = ioBytes(dir+"io", os.ReadFile); err != nil {
		used.addMissing(Bytes, err.Error())
	} else {
		used.addSource(Bytes, "/proc/PID/io", "")
	}
	return used, watched.least
}

// addProcess adds the resource usage of a reaped process.
func (u *Usage) addProcess(state *os.ProcessState) {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		for _, q := range []Quantity{CPUTime, Switches, PeakMemory} {
			u.addMissing(q, "wait4 returned no resource usage")
		}
		return
	}
	// The CPU time of wait4 does not include children that were killed together
	// with the command, because the command did not wait for them.
	from := "wait4"
	if cpu := time.Duration(r.Utime.Nano() + r.Stime.Nano()); cpu >= u.CPU {
		u.CPU = cpu
	} else {
		from = "/proc/PID/task/TID/schedstat"
	}
	u.Switches, u.Forced = int64(r.Nvcsw), int64(r.Nivcsw)
	u.addSource(CPUTime, from, "")
	u.addSource(Switches, "wait4", "")
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil || int64(r.Maxrss) <= int64(own.Maxrss) {
		u.addMissing(PeakMemory, fmt.Sprintf("it is not above %s, the peak memory of the program that started the command, so the kernel does not show it", units.Bytes(int64(own.Maxrss)<<10)))
		return
	}
	u.Memory = int64(r.Maxrss) << 10
	u.addSource(PeakMemory, "wait4", "")
}
