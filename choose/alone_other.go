//go:build !linux

package choose

import (
	"runtime"
	"time"
)

// meter knows the wall clock only.
type meter struct{ begin time.Time }

const notHere = "no source is known on " + runtime.GOOS

func newMeter() *meter { return &meter{time.Now()} }

func (m *meter) stop() (used Usage) {
	used.Wall = time.Since(m.begin)
	for _, q := range []Quantity{CPUTime, RunDelay, Bytes, PeakMemory, Switches} {
		used.missing(q, notHere)
	}
	return used
}
