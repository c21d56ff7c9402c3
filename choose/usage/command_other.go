//go:build !linux

package usage

import (
	"os"
	"time"
)

func threadDelay() time.Duration { return 0 }

func waitExited(int, time.Time, time.Duration) (Usage, time.Duration) { return Usage{}, 0 }

// addProcess adds the CPU time of a process that has ended.
func (u *Usage) addProcess(state *os.ProcessState) {
	u.CPU = state.UserTime() + state.SystemTime()
	u.addSource(CPUTime, "wait", "")
	for _, q := range []Quantity{RunDelay, Bytes, PeakMemory, Switches} {
		u.addMissing(q, noSource)
	}
}
