package osproc

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// OOMCounter is the path of a file of a control group. In this file, the kernel
// counts the processes of the group that it has killed because memory was
// short. The path may be empty; then the number is unknown.
type OOMCounter string

// FindOOMCounter returns the counter of the control group to which this
// process and its workers belong. It returns an empty path if this process
// can read no such file. In version 2 of control groups the file is
// memory.events, and in version 1 it is memory.oom_control.
func FindOOMCounter() OOMCounter {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	for group := range strings.Lines(string(groups)) {
		// 4:memory:/path in version 1, 0::/path in version 2
		parts := strings.SplitN(strings.TrimSpace(group), ":", 3)
		if len(parts) != 3 {
			continue
		}
		kind, options, name := "cgroup2", "", "memory.events"
		if parts[1] == "memory" {
			kind, options, name = "cgroup", "memory", "memory.oom_control"
		} else if parts[1] != "" {
			continue
		}
		for mount := range strings.Lines(string(mounts)) {
			// 30 23 0:26 /root /where rw - cgroup cgroup rw,memory
			left, right, _ := strings.Cut(mount, " - ")
			from, is := strings.Fields(left), strings.Fields(right)
			if len(from) < 5 || len(is) < 3 || is[0] != kind || !strings.Contains(","+is[2]+",", ","+options) {
				continue
			}
			inside := strings.TrimPrefix(parts[2], strings.TrimSuffix(from[3], "/"))
			for _, path := range []string{filepath.Join(from[4], inside, name), filepath.Join(from[4], name)} {
				if c := OOMCounter(path); c.Count() >= 0 {
					return c
				}
			}
		}
	}
	return ""
}

// Count returns the number of processes that the kernel has killed, or -1 if
// the number is unknown.
func (c OOMCounter) Count() int {
	if c == "" {
		return -1
	}
	f, err := os.Open(string(c))
	if err != nil {
		return -1
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			if n, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
				return n
			}
		}
	}
	return -1
}

// ResidentMemory returns the private resident memory of a process, in bytes. It
// reports false if the system does not know the process.
func ResidentMemory(pid int) (bytes int64, ok bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, false
	}
	var size, all, shared int64
	_, err = fmt.Sscan(string(text), &size, &all, &shared)
	return (all - shared) * int64(os.Getpagesize()), err == nil
}

// CanLimitMemory says whether this system supports ResidentMemory and
// LimitMemory.
const CanLimitMemory = true

// LimitMemory limits the memory that a process may map for writing. It does not
// limit the address space, because Go reserves far more addresses than it uses.
func LimitMemory(p *os.Process, bytes int64) error {
	limit := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	if err := unix.Prlimit(p.Pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		return fmt.Errorf("set the memory limit (RLIMIT_DATA): %w", err)
	}
	return nil
}
