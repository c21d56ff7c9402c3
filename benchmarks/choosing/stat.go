package main

import (
	"fmt"
	"os"
)

// stat has the times of all processors, in the unit of /proc/stat. The times
// are 0 if this file does not exist.
type stat struct{ total, stolen int64 }

// readStat returns the present times from /proc/stat.
func readStat() (s stat) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return s
	}
	var user, nice, system, idle, iowait, irq, softirq int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &s.stolen); err != nil {
		return stat{}
	}
	s.total = user + nice + system + idle + iowait + irq + softirq + s.stolen
	return s
}

// stolenSince returns the share of steal time in the processor time that has
// passed since the times in the parameter before.
func (s stat) stolenSince(before stat) float64 {
	if s.total <= before.total {
		return 0
	}
	return float64(s.stolen-before.stolen) / float64(s.total-before.total)
}
