package choose

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"concert/internal/units"
)

// exited waits until a child has ended, and reads what can be read of it before
// it is waited for.
func exited(pid int) (used Usage) {
	begin := time.Now()
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			break
		}
	}
	used.Wall = time.Since(begin)
	dir := fmt.Sprintf("/proc/%d/", pid)
	var err error
	if used.RunDelay, err = runDelay(dir+"schedstat", os.ReadFile); err != nil {
		used.missing(RunDelay, err.Error())
	} else {
		used.from(RunDelay, "/proc/PID/schedstat", "of its first thread")
	}
	if used.Read, used.Written, err = ioBytes(dir+"io", os.ReadFile); err != nil {
		used.missing(Bytes, err.Error())
	} else {
		used.from(Bytes, "/proc/PID/io", "")
	}
	return used
}

// rusage adds what wait4 said.
func (u *Usage) rusage(state *os.ProcessState) {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		for _, q := range []Quantity{CPUTime, Switches, PeakMemory} {
			u.missing(q, "wait4 said nothing")
		}
		return
	}
	u.CPU = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	u.Switches, u.Forced = int64(r.Nvcsw), int64(r.Nivcsw)
	u.from(CPUTime, "wait4", "")
	u.from(Switches, "wait4", "")
	var own unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &own); err != nil || int64(r.Maxrss) <= int64(own.Maxrss) {
		u.missing(PeakMemory, fmt.Sprintf("it is at most the %s of the measuring program, which hides it", units.Bytes(int64(own.Maxrss)<<10)))
		return
	}
	u.Memory = int64(r.Maxrss) << 10
	u.from(PeakMemory, "wait4", "")
}
