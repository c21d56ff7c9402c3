package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// usage has the resources that a process has used.
type usage struct {
	cpu    time.Duration
	memory int64 // the resident memory in bytes
}

// usage returns the usage of all processes of the site, and of this process,
// which contains the clients.
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

// usageOf returns the usage of a process. It returns zero if there is no such
// process. See proc(5): "/proc/pid/stat".
func usageOf(pid int) (u usage) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u
	}
	_, rest, _ := strings.Cut(string(text), ") ") // skip the name, which may contain blanks
	fields := strings.Fields(rest)                // the third field and all after it
	if len(fields) < 22 {
		return u
	}
	var user, system, pages int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12]+" "+fields[21], &user, &system, &pages); err != nil {
		return u
	}
	return usage{time.Duration(user+system) * tick, pages * int64(os.Getpagesize())}
}
