package choose

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// statTick is one of USER_HZ, the unit of /proc/stat, on all architectures that
// Go is for.
const statTick = 10 * time.Millisecond

// processors is what /proc/stat says of all processors together, in ticks of 10
// ms.
type processors struct{ busy, stolen, total int64 }

func readProcessors() (p processors) {
	b, err := os.ReadFile("/proc/stat")
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

// fewestTicks is what it takes to say something about a share.
const fewestTicks = 8

// since returns the share of the processors that were busy, or -1 if it cannot
// be told, and the share that the host of a virtual machine took.
func (p processors) since() (busy, stolen float64) {
	now := readProcessors()
	if p.total == 0 || now.total-p.total < fewestTicks {
		return -1, 0
	}
	all := float64(now.total - p.total)
	return float64(now.busy-p.busy) / all, float64(now.stolen-p.stolen) / all
}

// stolenFrom returns the part that work which used so much CPU time since
// before has of what the host of a virtual machine took: it takes from all that
// compute alike. That is no more than twice what the work used: a busy host
// also takes from processors that only wake now and then, while the work waits.
func (p processors) stolenFrom(before processors, used time.Duration) time.Duration {
	stolen := p.stolen - before.stolen
	ran := p.busy - before.busy - stolen
	if before.total == 0 || stolen <= 0 {
		return 0
	}
	share := min(1, float64(used)/float64(max(1, ran)*int64(statTick)))
	return min(2*used, time.Duration(share*float64(stolen*int64(statTick))))
}

// use is the CPU time that this process and its children that have ended had
// used.
type use struct {
	processors
	own time.Duration
}

func startOfUse() use { return use{readProcessors(), ownCPU()} }

// since returns the share of the processors that was used since, and not by
// this process or by children that have ended meanwhile, and the share that the
// host of a virtual machine took; -1 and 0 if that is not known.
func (u use) since() (others, stolen float64) {
	busy, stolen := u.processors.since()
	if busy < 0 {
		return -1, 0
	}
	all := float64(readProcessors().total-u.total) * float64(statTick)
	return max(0, busy-stolen-float64(ownCPU()-u.own)/all), stolen
}

func ownCPU() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			sum += time.Duration(r.Utime.Nano() + r.Stime.Nano())
		}
	}
	return sum
}

// freeMemory returns the bytes of memory that could be used without swapping,
// or 0 if that is unknown.
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
