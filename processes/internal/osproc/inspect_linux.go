package osproc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// IsExiting reports whether a process has begun to exit, is a zombie, or does
// not exist. On a busy machine, a process may need some time to exit.
func IsExiting(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	const (
		state, flags = 0, 6 // fields after the name
		pfExiting    = 0x4
	)
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) <= flags {
		return false
	}
	n, err := strconv.ParseUint(string(fields[flags]), 10, 64)
	return bytes.ContainsAny(fields[state], "ZX") || err == nil && n&pfExiting != 0
}

// ThreadTimes returns the times of each thread of a process, by the id of the
// thread. It omits times that the system does not report.
func ThreadTimes(pid int) map[int]ThreadTime {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	all := make(map[int]ThreadTime, len(dirs))
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		rest := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
		if err != nil || len(rest) == 0 {
			continue // the thread has ended
		}
		t := ThreadTime{State: rest[0]}
		if times, err := os.ReadFile(filepath.Join(dir, "schedstat")); err == nil {
			var ran, waited int64
			fmt.Sscan(string(times), &ran, &waited)
			t.Ran, t.Waited = time.Duration(ran), time.Duration(waited)
		}
		all[id] = t
	}
	return all
}
