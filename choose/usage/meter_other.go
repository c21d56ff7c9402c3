//go:build !linux

package usage

import (
	"runtime"
	"time"
)

// meter measures the elapsed time only.
type meter struct{ begin time.Time }

const noSource = "there is no source on " + runtime.GOOS

func newMeter() *meter { return &meter{time.Now()} }

func (m *meter) stop() (used Usage, thread time.Duration) {
	used.Wall = time.Since(m.begin)
	for _, q := range []Quantity{CPUTime, RunDelay, Bytes, PeakMemory, Switches} {
		used.addMissing(q, noSource)
	}
	return used, 0
}
