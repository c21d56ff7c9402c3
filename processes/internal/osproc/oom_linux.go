package osproc

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// OOMCounter is the file in which the kernel counts the processes of a control
// group that it has killed because memory was short. It may be empty.
type OOMCounter string

// FindOOMCounter returns the counter of this process's control group, whose
// limit also holds for the workers. It is empty if there is none that can be
// read. In version 2 of control groups the file is memory.events, and in
// version 1 it is memory.oom_control.
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

// Count returns how many processes the kernel has killed, or -1 if that is
// unknown.
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
