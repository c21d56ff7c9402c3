//go:build !linux

package choose

import "os"

func exited(int) Usage { return Usage{} }

// rusage knows the CPU time, and nothing else.
func (u *Usage) rusage(state *os.ProcessState) {
	u.CPU = state.UserTime() + state.SystemTime()
	u.from(CPUTime, "wait", "")
	for _, q := range []Quantity{RunDelay, Bytes, PeakMemory, Switches} {
		u.missing(q, notHere)
	}
}
