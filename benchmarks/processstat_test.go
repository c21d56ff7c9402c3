package benchmarks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// processStat has the resources that a process has used since its start. Other
// programs change the processor time of a benchmark much less than its
// duration.
type processStat struct {
	CPU    time.Duration // the processor time, to 10 ms
	Faults int           // the number of page faults that needed no disk
}

// statOf returns the processStat of a process, from the file /proc/PID/stat. On
// systems without this file, it returns zeros.
func statOf(pid int) (s processStat, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, err
	}
	// The name of the program, in parentheses, may contain spaces. After it,
	// the fields have the numbers 3 and up.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	var numbers [3]int
	for i, field := range []int{10, 14, 15} {
		if numbers[i], err = strconv.Atoi(fields[field-3]); err != nil {
			return s, err
		}
	}
	const tick = 10 * time.Millisecond
	return processStat{CPU: tick * time.Duration(numbers[1]+numbers[2]), Faults: numbers[0]}, nil
}

// selfStat returns the processStat of this process.
func selfStat(b *testing.B) processStat { return mustStat(b, os.Getpid()) }

func mustStat(b *testing.B, pid int) processStat {
	b.Helper()
	s, err := statOf(pid)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (s processStat) add(other processStat) processStat {
	return processStat{s.CPU + other.CPU, s.Faults + other.Faults}
}

// sub returns the difference to the values in before.
func (s processStat) sub(before processStat) processStat {
	return processStat{s.CPU - before.CPU, s.Faults - before.Faults}
}

// reportCPU reports the processor time for each of n operations.
func (s processStat) reportCPU(b *testing.B, n int) {
	if s.CPU > 0 {
		b.ReportMetric(float64(s.CPU.Nanoseconds())/float64(n), "cpu-ns/op")
	}
}
