package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// usage is what a process has used of the machine.
type usage struct {
	cpu    time.Duration
	memory int64 // bytes that are resident
}

// usage reads that of all processes, and of this one, in which the clients are.
func (s *site) usage() map[string]usage {
	all := map[string]usage{}
	for name, p := range s.processes {
		all[name] = usageOf(p.cmd.Process.Pid)
	}
	all[clients] = usageOf(os.Getpid())
	return all
}

const (
	clients = "clients"
	tick    = 10 * time.Millisecond // USER_HZ is 100 on all systems that Go runs on
)

// usageOf is zero for a process that is not there. See proc(5):
// "/proc/pid/stat".
func usageOf(pid int) (u usage) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may have blanks in it
	fields := strings.Fields(rest)                // from the third on
	if len(fields) < 22 {
		return u
	}
	var user, system, pages int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12]+" "+fields[21], &user, &system, &pages); err != nil {
		return u
	}
	return usage{time.Duration(user+system) * tick, pages * int64(os.Getpagesize())}
}
