package dashboard

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// ticks is the number of ticks in a second in which Linux counts the processor
// time of processes. It is 100 on all architectures of Go.
const ticks = 100

// readProcess returns the processor time and the resident memory of a process.
func readProcess(pid int) (cpu time.Duration, memory int64, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the name of the program in parentheses. It may
	// contain spaces and parentheses.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 22 {
		return 0, 0, false
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(string(fields[i]), 10, 64)
		return n
	}
	// The fields of proc(5): 14 and 15 are the times in user and kernel mode,
	// 24 is the resident memory in pages. Here they count from field 3.
	return time.Duration(number(11)+number(12)) * time.Second / ticks, number(21) * int64(os.Getpagesize()), true
}
