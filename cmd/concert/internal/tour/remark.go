package tour

import (
	"time"

	"concert/internal/units"
)

// minSpeedup is the smallest ratio of two times that counts as a speed-up.
const minSpeedup = 1.25

// expectation says whether a measurement should show a speed-up.
type expectation bool

const (
	speedup   expectation = true
	noSpeedup expectation = false
)

// compared prints a measurement, its speed-up over another measurement, and the
// reason. If the result is not as expected, for example on a busy machine,
// compared prints the expectation instead of the reason.
func (t *tour) compared(what string, before, after time.Duration, expected expectation, why string) {
	note, surprise := remark(before, after, expected, why)
	t.measured(what, after, note)
	if surprise != "" {
		t.noted("", surprise)
	}
}

// remark returns the note that compared prints next to the time. If the result
// is not as expected, remark also returns a text about the expectation.
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

// onProcessors returns the expectation for CPU-bound work on n processors: a
// speed-up if n is above 1.
func onProcessors(n int) expectation { return n > 1 }
