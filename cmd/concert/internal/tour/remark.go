package tour

import (
	"time"

	"concert/internal/units"
)

// minSpeedup is the smallest ratio of two times at which the tour says that
// the second one is faster.
const minSpeedup = 1.25

// expectation is the range in which the tour expects the speed-up of a
// measurement.
type expectation bool

const (
	speedup   expectation = true
	noSpeedup expectation = false
)

// compared prints a measurement, its speed-up over another one, and the reason.
// If the speed-up is not as expected, as on a busy machine, compared prints
// what was expected instead of the reason.
func (t *tour) compared(what string, before, after time.Duration, expected expectation, why string) {
	note, surprise := remark(before, after, expected, why)
	t.measured(what, after, note)
	if surprise != "" {
		t.noted("", surprise)
	}
}

// remark returns the note that compared prints next to the time. If the time is
// not as expected, it also returns what was expected.
func remark(before, after time.Duration, expected expectation, why string) (note, surprise string) {
	ratio := float64(before) / float64(max(after, 1))
	switch faster := expectation(ratio >= minSpeedup); {
	case faster == expected:
		return units.Times(ratio) + ": " + why, ""
	case expected == speedup:
		return units.Times(ratio), "expected a speed-up: is the machine busy?"
	default:
		return units.Times(ratio), "expected no speed-up: is the machine busy?"
	}
}

// onProcessors is the expectation of CPU-bound work on n processors.
func onProcessors(n int) expectation { return n > 1 }
