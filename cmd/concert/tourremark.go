package main

import (
	"time"

	"concert/internal/units"
)

// leastSpeedup is the ratio of two times from which on the tour says that one is
// faster.
const leastSpeedup = 1.25

// expectation is what the tour expects of a measurement.
type expectation bool

const (
	speedup   expectation = true
	noSpeedup expectation = false
)

// compared prints a measurement, with how many times as fast it was as another one,
// and why. On a busy machine this may not be what is expected; then the tour says
// so, and not why.
func (t *tour) compared(what string, before, after time.Duration, expected expectation, why string) {
	note, surprise := remark(before, after, expected, why)
	t.measured(what, after, note)
	if surprise != "" {
		t.noted("", surprise)
	}
}

// remark returns what compared says of the time, and, if the time is not as
// expected, what was expected.
func remark(before, after time.Duration, expected expectation, why string) (note, surprise string) {
	ratio := float64(before) / float64(max(after, 1))
	switch faster := expectation(ratio >= leastSpeedup); {
	case faster == expected:
		return units.Times(ratio) + ": " + why, ""
	case expected == speedup:
		return units.Times(ratio), "expected a speed-up: is the machine busy?"
	default:
		return units.Times(ratio), "expected no speed-up: is the machine busy?"
	}
}

// onProcessors is the expectation of CPU-bound work on so many processors.
func onProcessors(n int) expectation { return n > 1 }
