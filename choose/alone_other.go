//go:build !linux

package choose

import "runtime"

// meter knows nothing here but that.
type meter struct{}

const notHere = "no source is known on " + runtime.GOOS

func newMeter() *meter { return nil }

func (*meter) stop() (used Usage) {
	for _, q := range []Quantity{CPUTime, RunDelay, Bytes, PeakMemory, Switches} {
		used.missing(q, notHere)
	}
	return used
}
