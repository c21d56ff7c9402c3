package choose

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statTick is the unit of /proc/stat, on all architectures of Go.
const statTick = 10 * time.Millisecond

var statFile = "/proc/stat" // tests change it

// processors has the times of all processors together, in ticks of 10 ms, as in
// /proc/stat.
type processors struct{ busy, stolen, total int64 }

// readProcessors returns the times until now, or zero if they are unknown.
func readProcessors() (p processors) {
	b, err := os.ReadFile(statFile)
	if err != nil {
		return p
	}
	line, _, _ := strings.Cut(string(b), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return p
	}
	for i, f := range fields[1:9] { // user nice system idle iowait irq softirq steal; guests are in user
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return processors{}
		}
		p.total += n
		if i != 3 && i != 4 {
			p.busy += n
		}
		if i == 7 {
			p.stolen = n
		}
	}
	return p
}

// minTicks is the minimum number of ticks from which a share is computed.
const minTicks = 8

// since returns two shares of the processor time that has passed since p was
// read. The first result is the share in which the processors were busy, and
// the second is the share of steal time. If the shares are unknown, the results
// are -1 and 0.
func (p processors) since() (busy, stolen float64) {
	now := readProcessors()
	if p.total == 0 || now.total-p.total < minTicks {
		return -1, 0
	}
	all := float64(now.total - p.total)
	return float64(now.busy-p.busy) / all, float64(now.stolen-p.stolen) / all
}

// stolenFrom compares p with an earlier reading. It returns the part of the
// steal time between the two readings that belongs to work with the given
// CPU time. The host takes time from all programs that compute, in
// proportion to their CPU time. The result is at most twice the CPU time of
// the work. Without this bound, the result would be too high on a busy host,
// which also takes time from processors while the work waits.
func (p processors) stolenFrom(before processors, used time.Duration) time.Duration {
	stolen := p.stolen - before.stolen
	ran := p.busy - before.busy - stolen
	if before.total == 0 || stolen <= 0 {
		return 0
	}
	share := min(1, float64(used)/float64(max(1, ran)*int64(statTick)))
	return min(2*used, time.Duration(share*float64(stolen*int64(statTick))))
}

// load measures the load of other programs. It has the times of the processors
// at the beginning of a measurement, and the CPU time that this process and its
// ended children had used then.
type load struct {
	processors
	own time.Duration
}

// startLoad begins a measurement of the load.
func startLoad() load { return load{readProcessors(), ownCPU()} }

// since returns two shares of the processor time that has passed since
// startLoad. The first result is the share that other programs used, and the
// second is the share of steal time. If the shares are unknown, the results are
// -1 and 0.
func (l load) since() (others, stolen float64) {
	busy, stolen := l.processors.since()
	if busy < 0 {
		return -1, 0
	}
	all := float64(readProcessors().total-l.total) * float64(statTick)
	return max(0, busy-stolen-float64(ownCPU()-l.own)/all), stolen
}

// ownCPU returns the CPU time of this process and of its children that have
// ended.
func ownCPU() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return sum
}

// freeMemory returns the number of bytes of memory that could be used
// without swapping, or 0 if it is unknown.
func freeMemory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "MemAvailable:")
	var kB int64
	fmt.Sscan(rest, &kB) // 0 if there is no such entry
	return kB << 10
}
