package processes

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// threadTimes returns what each thread of a process has done, as far as the
// system says it.
func threadTimes(pid int) map[int]threadTime {
	dirs, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/[0-9]*", pid))
	all := make(map[int]threadTime, len(dirs))
	for _, dir := range dirs {
		id, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		rest := bytes.TrimSpace(stat[bytes.LastIndexByte(stat, ')')+1:])
		if err != nil || len(rest) == 0 {
			continue // it has ended
		}
		t := threadTime{state: rest[0]}
		if times, err := os.ReadFile(filepath.Join(dir, "schedstat")); err == nil {
			var ran, waited int64
			fmt.Sscan(string(times), &ran, &waited)
			t.ran, t.waited = time.Duration(ran), time.Duration(waited)
		}
		all[id] = t
	}
	return all
}
