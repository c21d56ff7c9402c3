package osproc

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Settings are the settings of this process that its workers get, whatever this
// process changes before it starts them.
type Settings struct {
	mask     int // of the modes of new files; negative if unknown
	limits   limits
	schedule schedule
}

// CurrentSettings returns the present settings of this process.
func CurrentSettings() *Settings {
	return &Settings{mask: currentMask(), limits: currentLimits(), schedule: currentSchedule()}
}

// currentMask returns the mask for the modes of new files, or -1 if it is
// unknown. It reads a file, because the system call sets the mask as well.
func currentMask() int {
	f, err := os.Open("/proc/thread-self/status") // not /proc/self: the first thread may be the one that starts workers
	if err != nil {
		return -1
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "Umask:"); ok {
			if mask, err := strconv.ParseInt(strings.TrimSpace(text), 8, 32); err == nil {
				return int(mask)
			}
		}
	}
	return -1
}

// limits are the resource limits of this process.
type limits [unix.RLIMIT_RTTIME + 1]unix.Rlimit

func currentLimits() (l limits) {
	for resource := range l {
		unix.Getrlimit(resource, &l[resource]) // an unknown one stays zero, here and in apply
	}
	return l
}

// apply sets the limits of a process that this process has just started. Limits
// that the system does not allow stay as they are.
func (l *limits) apply(p *os.Process) {
	now := currentLimits()
	for resource := range l {
		if l[resource] != now[resource] {
			unix.Prlimit(p.Pid, resource, &l[resource], nil)
		}
	}
}

// RestoreStackLimit sets the stack limit of a running process again. At the end
// of exec, the kernel resets that limit to its value at the beginning of exec,
// which can undo what Start has set.
func (s *Settings) RestoreStackLimit(p *os.Process) {
	l := &s.limits
	var now unix.Rlimit
	if unix.Prlimit(p.Pid, unix.RLIMIT_STACK, nil, &now) == nil && now != l[unix.RLIMIT_STACK] {
		unix.Prlimit(p.Pid, unix.RLIMIT_STACK, &l[unix.RLIMIT_STACK], nil)
	}
}
